import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

LEDGER = """
    with fresh as (
        insert into processed_events (event_id) values (%(id)s)
        on conflict do nothing returning event_id
    )
    insert into ledger (event_id, account, amount)
    select event_id, %(account)s, %(amount)s from fresh
"""
BALANCE = """
    insert into balances (account, balance) values (%(account)s, %(amount)s)
    on conflict (account) do update set balance = balances.balance + excluded.balance
"""


def book(db, event):
    """Both statements in one transaction; repeats are dropped by the database itself."""
    with db.transaction():
        db.execute(LEDGER, event)
        db.execute(BALANCE, event)


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    db.execute("create table if not exists processed_events (event_id text primary key)")
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while not stop:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        book(db, json.loads(message.value()))
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            print("commit failed:", error)
    consumer.close()


main()
