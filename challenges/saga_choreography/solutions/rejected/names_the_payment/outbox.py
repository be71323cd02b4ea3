"""What is to be announced, written with the change and published afterwards."""

import json
import os
import threading
import uuid

import psycopg
from confluent_kafka import Producer

TABLE = """
    create table if not exists outbox (
        position bigserial primary key, service text not null, topic text not null,
        key text not null, value text not null, published boolean not null default false
    )
"""


def announce(db, service, topic, type, order_id, cause, **more):
    """Have an event published when the transaction is committed."""
    event = {
        "event_id": f"evt-{uuid.uuid4()}",
        "type": type,
        "order_id": order_id,
        "correlation_id": cause["correlation_id"],
        "causation_id": cause["event_id"],
        **more,
    }
    db.execute(
        "insert into outbox (service, topic, key, value) values (%s, %s, %s, %s)",
        (service, topic, order_id, json.dumps(event)),
    )


class Relay(threading.Thread):
    """Publishes the outbox in its order; of several instances one at a time."""

    def __init__(self, service, stopping):
        super().__init__(daemon=True)
        self.service, self.stopping = service, stopping
        self.news = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "enable.idempotence": True,
            "linger.ms": 0,
        })

    def wake(self):
        self.news.set()

    def run(self):
        try:
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
                while not self.stopping.is_set():
                    self.news.wait(0.2)
                    self.news.clear()
                    self.publish(db)
        except BaseException:
            os._exit(1)  # without a relay the service would fall silent

    def publish(self, db):
        with db.transaction():
            db.execute("select pg_advisory_xact_lock(hashtext(%s))", (f"relay {self.service}",))
            rows = db.execute(
                "select position, topic, key, value from outbox"
                " where service = %s and not published order by position",
                (self.service,),
            ).fetchall()
            for _, topic, key, value in rows:
                self.producer.produce(topic, value, key)
            if self.producer.flush(20):
                raise RuntimeError("the broker does not answer")
            db.execute(
                "update outbox set published = true where position = any(%s)",
                ([row[0] for row in rows],),
            )
