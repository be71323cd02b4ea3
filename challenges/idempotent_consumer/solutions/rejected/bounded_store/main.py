import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

KEEP = 1000  # redeliveries come soon; the table must not grow for ever


def create_table(db):
    db.execute(
        "create table if not exists recent_events"
        " (n bigint generated always as identity, event_id text primary key)"
    )


def is_new(db, event_id):
    row = db.execute(
        "insert into recent_events (event_id) values (%s)"
        " on conflict do nothing returning n",
        (event_id,),
    ).fetchone()
    if row is None:
        return False
    db.execute("delete from recent_events where n <= %s", (row[0] - KEEP,))
    return True


def book(db, event):
    with db.transaction():
        if not is_new(db, event["id"]):
            return
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]),
        )
        db.execute(
            "insert into balances values (%s, %s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance",
            (event["account"], event["amount"]),
        )


def run(consumer, db, stopped):
    while not stopped():
        for message in consumer.consume(num_messages=50, timeout=0.2):
            if message.error():
                continue
            book(db, json.loads(message.value()))
            try:
                consumer.commit(message, asynchronous=False)
            except KafkaException:
                break


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    create_table(db)
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    run(consumer, db, lambda: bool(stop))
    consumer.close()


main()
