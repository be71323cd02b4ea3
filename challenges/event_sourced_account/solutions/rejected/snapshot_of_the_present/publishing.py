"""Publishes what is pending; one instance at a time, in the order of the log."""

import json
import os
import time

from confluent_kafka import Producer
from sqlalchemy import text


class Publisher:
    def __init__(self, engine):
        self.engine = engine
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "enable.idempotence": True,
            "linger.ms": 5,
        })

    def run(self):
        while True:
            if not self.publish_some():
                time.sleep(0.1)

    def publish_some(self):
        with self.engine.begin() as db:
            db.execute(text("select pg_advisory_xact_lock(78)"))
            rows = db.execute(
                text("select number, body from pending order by number limit 100")).all()
            for row in rows:
                self.producer.produce(
                    os.environ["ACCOUNT_EVENTS_TOPIC"], row.body, json.loads(row.body)["account"])
            if self.producer.flush(60):
                raise RuntimeError("the broker does not take what is pending")
            if rows:
                db.execute(
                    text("delete from pending where number = any(:n)"),
                    {"n": [row.number for row in rows]})
        return len(rows)
