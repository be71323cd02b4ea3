import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

BATCH = 50


def new_events(db, events):
    """Drop what is booked already. One instance at a time looks and books."""
    db.execute("lock table processed_events in exclusive mode")
    ids = [event["id"] for event in events]
    known = {
        row[0] for row in db.execute(
            "select event_id from processed_events where event_id = any(%s)", (ids,))
    }
    return [event for event in events if event["id"] not in known]


def book(db, events):
    with db.transaction():
        events = new_events(db, events)
        with db.cursor() as cursor:
            cursor.executemany(
                "insert into processed_events values (%(id)s) on conflict do nothing", events)
            cursor.executemany(
                "insert into ledger (event_id, account, amount)"
                " values (%(id)s, %(account)s, %(amount)s)", events)
            cursor.executemany(
                "insert into balances values (%(account)s, %(amount)s) on conflict (account)"
                " do update set balance = balances.balance + excluded.balance", events)


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
        messages = [m for m in consumer.consume(BATCH, timeout=0.3) if m.error() is None]
        if not messages:
            continue
        book(db, [json.loads(message.value()) for message in messages])
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            print("commit failed:", error)
    consumer.close()


main()
