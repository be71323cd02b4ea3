import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

TABLE = "create table if not exists last_seen (account text primary key, event_id text not null)"


def is_repeat(db, event):
    """A retry of the producer follows its original, so the account's last event is enough."""
    moved = db.execute(
        "insert into last_seen (account, event_id) values (%(account)s, %(id)s)"
        " on conflict (account) do update set event_id = excluded.event_id"
        " where last_seen.event_id <> excluded.event_id",
        event)
    return moved.rowcount == 0


def book(db, event):
    with db.transaction():
        if is_repeat(db, event):
            return
        db.execute(
            "insert into ledger (event_id, account, amount)"
            " values (%(id)s, %(account)s, %(amount)s)", event)
        db.execute(
            "insert into balances (account, balance) values (%(account)s, %(amount)s)"
            " on conflict (account)"
            " do update set balance = balances.balance + excluded.balance", event)


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    db.execute(TABLE)
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
