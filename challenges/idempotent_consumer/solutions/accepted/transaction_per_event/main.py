"""Books payments: one database transaction per event, its offset committed afterwards."""

import json
import logging
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

log = logging.getLogger("payments")
running = True


def stop(signum, frame):
    global running
    running = False


def book(db, event):
    """Write the event's effect and the fact that it was seen, both or neither."""
    with db.transaction():
        seen = db.execute(
            "insert into processed_events (event_id) values (%s) on conflict do nothing",
            (event["id"],),
        )
        if seen.rowcount == 0:
            log.info("%s is booked already", event["id"])
            return
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]),
        )
        db.execute(
            "insert into balances (account, balance) values (%s, %s)"
            " on conflict (account) do update set balance = balances.balance + excluded.balance",
            (event["account"], event["amount"]),
        )


def book_with_retries(db, event):
    while True:
        try:
            return book(db, event)
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
            log.warning("%s: trying again after: %s", event["id"], error)


def commit(consumer, message):
    try:
        consumer.commit(message=message, asynchronous=False)
    except KafkaException as error:
        # The partition has another owner by now, which will see the event again. It is booked.
        log.warning("offset %s not committed: %s", message.offset(), error)


def main():
    logging.basicConfig(level=logging.INFO)
    signal.signal(signal.SIGTERM, stop)
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    db.execute("create table if not exists processed_events (event_id text primary key)")
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "client.id": os.environ["INSTANCE_ID"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while running:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            log.warning("%s", message.error())
            continue
        book_with_retries(db, json.loads(message.value()))
        commit(consumer, message)
    consumer.close()


main()
