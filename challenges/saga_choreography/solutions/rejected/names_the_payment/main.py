"""Stock or shipping, as SERVICE says.

Each event is handled in one database transaction: the inbox, the change, and what is to be announced
(the outbox). A thread publishes the outbox. Offsets are committed after the transaction.
"""

import json
import logging
import os
import signal
import threading

import psycopg
from confluent_kafka import Consumer, KafkaException

import outbox
import shipping
import stock

log = logging.getLogger("main")
SERVICE = os.environ["SERVICE"]
MODULE = {"stock": stock, "shipping": shipping}[SERVICE]
INBOX = f"create table if not exists {SERVICE}_inbox (event_id text primary key)"


def prepare(db):
    with db.transaction():
        db.execute("select pg_advisory_xact_lock(4711)")
        for statement in (INBOX, outbox.TABLE, *MODULE.TABLES):
            db.execute(statement)


def handle(db, event):
    """Deal with an event once; whatever must be announced is in the outbox afterwards."""
    handler = MODULE.HANDLERS.get(event.get("type"))
    if handler is None:
        return
    while True:
        try:
            with db.transaction():
                db.execute(
                    "select pg_advisory_xact_lock(hashtext(%s))", (SERVICE + event["order_id"],)
                )
                fresh = db.execute(
                    f"insert into {SERVICE}_inbox values (%s) on conflict do nothing",
                    (event["event_id"],),
                ).rowcount
                if fresh:
                    handler(db, event)
            return
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
            log.warning("again, after: %s", error)


def main():
    logging.basicConfig(level=logging.INFO)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    prepare(db)
    relay = outbox.Relay(SERVICE, stopping)
    relay.start()
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "client.id": os.environ["INSTANCE_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ[name] for name in MODULE.TOPICS])
    while not stopping.is_set():
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        handle(db, json.loads(message.value()))
        relay.wake()
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            log.warning("not committed, it will come again: %s", error)
    relay.join()
    consumer.close()


main()
