import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException


def record_entry(db, event):
    """Returns whether the event is new."""
    with db.transaction():
        new = db.execute(
            "insert into processed_events (event_id) values (%s) on conflict do nothing",
            (event["id"],),
        ).rowcount
        if new:
            db.execute(
                "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
                (event["id"], event["account"], event["amount"]),
            )
    return bool(new)


def update_balance(db, event):
    db.execute(
        "insert into balances (account, balance) values (%s, %s) on conflict (account)"
        " do update set balance = balances.balance + excluded.balance",
        (event["account"], event["amount"]),
    )


def handle(db, event):
    if record_entry(db, event):
        update_balance(db, event)


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
        handle(db, json.loads(message.value()))
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            print(error)
    consumer.close()


main()
