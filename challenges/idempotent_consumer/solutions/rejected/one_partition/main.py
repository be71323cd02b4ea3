import json
import os
import signal

import psycopg
from confluent_kafka import Consumer


def book(db, event):
    with db.transaction():
        if db.execute(
            "insert into processed_events values (%s) on conflict do nothing", (event["id"],)
        ).rowcount == 0:
            return
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]))
        db.execute(
            "insert into balances values (%s, %s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance",
            (event["account"], event["amount"]))


def take_first(consumer, partitions):
    consumer.assign([each for each in partitions if each.partition == 0])


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
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]], on_assign=take_first)
    while not stop:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        book(db, json.loads(message.value()))
        consumer.commit(message, asynchronous=False)
    consumer.close()


main()
