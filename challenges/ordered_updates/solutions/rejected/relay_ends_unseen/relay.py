"""Publishes the outbox in its order. One relay at a time: whoever holds the advisory lock.

The rows of an item are numbered while its version is locked, so their numbers are in the order of
its commits, and a row that is visible has no earlier one of its item that is not.
"""

import logging
import os
import threading

from confluent_kafka import KafkaException, Producer
from sqlalchemy import delete, select, text

from tables import outbox

log = logging.getLogger("relay")


class Relay(threading.Thread):
    def __init__(self, engine):
        super().__init__(daemon=True)
        self.engine = engine
        self.news = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "enable.idempotence": True,
        })

    def wake(self):
        self.news.set()

    def run(self):
        while True:
            self.news.wait(0.2)
            self.news.clear()
            with self.engine.begin() as db:
                if db.execute(text("select pg_try_advisory_xact_lock(43)")).scalar_one():
                    self.publish(db)

    def publish(self, db):
        rows = db.execute(select(outbox).order_by(outbox.c.number).limit(200)).all()
        if not rows:
            return
        failures = []

        def delivered(error, message):
            if error:
                failures.append(error)

        for row in rows:
            self.producer.produce(
                os.environ["UPDATES_TOPIC"], row.body, row.item, on_delivery=delivered)
        if self.producer.flush(60) or failures:
            raise KafkaException(failures[0] if failures else "not delivered")
        db.execute(delete(outbox).where(outbox.c.number.in_([row.number for row in rows])))
        self.news.set()
