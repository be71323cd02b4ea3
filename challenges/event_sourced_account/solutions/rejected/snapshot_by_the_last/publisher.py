"""Publishes what the outbox holds; a row goes when the broker has its record."""

import json
import os
import time

from confluent_kafka import Producer

from accounts import connect


def publish_forever():
    producer = Producer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "enable.idempotence": True,
    })
    with connect() as db:
        while True:
            with db.transaction():
                rows = db.execute(
                    "select entry, body from outbox order by entry limit 100"
                    " for update skip locked").fetchall()
                if rows:
                    publish(producer, [body for _, body in rows])
                    entries = [entry for entry, _ in rows]
                    db.execute("delete from outbox where entry = any(%s)", (entries,))
            time.sleep(0 if rows else 0.1)


def publish(producer, bodies):
    """Returns when the broker has all of them."""
    failures = []
    for body in bodies:
        producer.produce(
            os.environ["ACCOUNT_EVENTS_TOPIC"], key=body["account"], value=json.dumps(body),
            on_delivery=lambda error, message: error and failures.append(error))
    producer.flush()
    if failures:
        raise RuntimeError(f"not published: {failures[0]}")
