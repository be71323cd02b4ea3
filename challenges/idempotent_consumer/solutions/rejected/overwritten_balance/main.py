import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException


def upsert(db, table, key, values):
    """Insert a row, or bring the row with this key up to date."""
    columns = [key, *(name for name in values if name != key)]
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
    db.execute(
        f"insert into {table} ({', '.join(columns)})"
        f" values ({', '.join(f'%({name})s' for name in columns)})"
        f" on conflict ({key}) do update set {changes}",
        values,
    )


def book(db, event):
    with db.transaction():
        marker = db.execute(
            "insert into processed_events (event_id) values (%s) on conflict do nothing",
            (event["id"],))
        if marker.rowcount == 0:
            return
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]))
        upsert(db, "balances", "account",
               {"account": event["account"], "balance": event["amount"]})


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
