import json
import logging
import os
import signal

import psycopg2
from confluent_kafka import Consumer, KafkaException
from psycopg2.errors import UniqueViolation
from psycopg2.extras import execute_values

log = logging.getLogger("payments")

MARKERS = "insert into processed_events (event_id) values %s"
ENTRIES = "insert into ledger (event_id, account, amount) values %s"
BALANCES = """
    insert into balances (account, balance) values (%(account)s, %(amount)s)
    on conflict (account) do update set balance = balances.balance + excluded.balance
"""


def book(db, events):
    """One transaction; the primary key of processed_events guards it against repeats."""
    with db, db.cursor() as cursor:
        execute_values(cursor, MARKERS, [(event["id"],) for event in events])
        execute_values(
            cursor, ENTRIES, [(event["id"], event["account"], event["amount"]) for event in events])
        cursor.executemany(BALANCES, events)


def handle(db, events):
    try:
        book(db, events)
    except UniqueViolation:
        log.info("batch of %s was processed before", len(events))


def connect():
    db = psycopg2.connect(os.environ["DATABASE_URL"])
    with db, db.cursor() as cursor:
        cursor.execute("create table if not exists processed_events (event_id text primary key)")
    return db


def main():
    logging.basicConfig(level=logging.INFO)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    db = connect()
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while not stop:
        messages = [m for m in consumer.consume(20, timeout=0.2) if m.error() is None]
        if not messages:
            continue
        handle(db, [json.loads(message.value()) for message in messages])
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            log.warning("commit: %s", error)
    consumer.close()


main()
