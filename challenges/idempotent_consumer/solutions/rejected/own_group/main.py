import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

CONFIG = {
    "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
    "group.id": "payments-ledger-service",
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
}


def book(db, event):
    with db.transaction():
        marker = db.execute(
            "insert into processed_events (event_id) values (%s) on conflict do nothing",
            (event["id"],))
        if marker.rowcount:
            db.execute(
                "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
                (event["id"], event["account"], event["amount"]))
            db.execute(
                "insert into balances (account, balance) values (%s, %s) on conflict (account)"
                " do update set balance = balances.balance + excluded.balance",
                (event["account"], event["amount"]))


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    db.execute("create table if not exists processed_events (event_id text primary key)")
    consumer = Consumer(CONFIG)
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while not stop:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            print("kafka:", message.error())
            continue
        book(db, json.loads(message.value()))
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            print("commit failed:", error)
    consumer.close()


main()
