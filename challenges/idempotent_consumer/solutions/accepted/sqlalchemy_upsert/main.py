"""Books payments with SQLAlchemy; the primary key of `processed_events` refuses repeats."""

import json
import os
import signal
import sys

from confluent_kafka import Consumer, KafkaException
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from store import Store


class Stop(Exception):
    pass


def on_sigterm(signum, frame):
    raise Stop


def make_engine():
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
    return create_engine(url, pool_size=1, pool_pre_ping=True)


def make_consumer():
    return Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })


def handle(store, consumer, batch):
    for message in batch:
        if message.error():
            print("skipping a client error:", message.error(), file=sys.stderr)
            continue
        store.book(json.loads(message.value()))
        try:
            consumer.commit(message=message, asynchronous=False)
        except KafkaException as error:
            print("lost the partition:", error, file=sys.stderr)
            return


def main():
    signal.signal(signal.SIGTERM, on_sigterm)
    store = Store(make_engine())
    store.create_table()
    consumer = make_consumer()
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    try:
        while True:
            handle(store, consumer, consumer.consume(num_messages=20, timeout=0.2))
    except Stop:
        pass
    except OperationalError as error:
        sys.exit(f"database trouble, leaving the rest to my next life: {error}")
    finally:
        consumer.close()


main()
