import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

# Never drifts: the balance always follows from the ledger.
RECOMPUTE = """
    insert into balances (account, balance)
    select account, sum(amount) from ledger where account = %(account)s group by account
    on conflict (account) do update set balance = excluded.balance
"""


def book(db, event):
    with db.transaction():
        marker = db.execute(
            "insert into processed_events (event_id) values (%(id)s) on conflict do nothing", event
        )
        if marker.rowcount:
            db.execute(
                "insert into ledger (event_id, account, amount)"
                " values (%(id)s, %(account)s, %(amount)s)", event)
            db.execute(RECOMPUTE, event)


def commit(consumer, message):
    try:
        consumer.commit(message, asynchronous=False)
    except KafkaException as error:
        print("not committed:", error)


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    with db.transaction():
        db.execute("select pg_advisory_xact_lock(1)")  # two instances may start at once
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
        if message is not None and not message.error():
            book(db, json.loads(message.value()))
            commit(consumer, message)
    consumer.close()


main()
