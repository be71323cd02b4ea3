import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

# One statement is atomic, so two instances cannot both insert.
INSERT = """
    insert into ledger (event_id, account, amount)
    select %(id)s, %(account)s, %(amount)s
    where not exists (select from ledger where event_id = %(id)s)
"""
ADD = """
    insert into balances (account, balance) values (%(account)s, %(amount)s)
    on conflict (account) do update set balance = balances.balance + excluded.balance
"""


def book(db, event):
    with db.transaction():
        if db.execute(INSERT, event).rowcount:
            db.execute(ADD, event)


def commit(consumer, message):
    try:
        consumer.commit(message, asynchronous=False)
    except KafkaException as error:
        print("not committed:", error)


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while not stop:
        message = consumer.poll(0.2)
        if message is not None and not message.error():
            book(db, json.loads(message.value()))
            commit(consumer, message)
    consumer.close()


main()
