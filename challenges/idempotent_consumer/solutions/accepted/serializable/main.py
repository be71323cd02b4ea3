"""Books payments under SERIALIZABLE isolation; the ledger itself says what is booked."""

import json
import logging
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException
from psycopg.errors import DeadlockDetected, SerializationFailure

log = logging.getLogger("payments")


class Books:
    def __init__(self, url):
        self.db = psycopg.connect(url, autocommit=True)
        self.db.isolation_level = psycopg.IsolationLevel.SERIALIZABLE

    def book(self, events):
        """Book a batch, again and again until no concurrent transaction is in the way."""
        while True:
            try:
                with self.db.transaction():
                    return [self.book_one(event) for event in events]
            except (SerializationFailure, DeadlockDetected) as error:
                log.info("trying %s events again: %s", len(events), error)

    def book_one(self, event):
        known = self.db.execute(
            "select from ledger where event_id = %(id)s", event).fetchone()
        if known is not None:
            return
        self.db.execute(
            "insert into ledger (event_id, account, amount)"
            " values (%(id)s, %(account)s, %(amount)s)", event)
        balance = self.db.execute(
            "select balance from balances where account = %(account)s", event).fetchone()
        if balance is None:
            self.db.execute("insert into balances values (%(account)s, %(amount)s)", event)
        else:
            self.db.execute(
                "update balances set balance = %s where account = %s",
                (balance[0] + event["amount"], event["account"]))


def consume(consumer, books, running):
    while running():
        batch = [m for m in consumer.consume(num_messages=8, timeout=0.2) if not m.error()]
        if not batch:
            continue
        books.book([json.loads(message.value()) for message in batch])
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            log.warning("not committed: %s", error)


def main():
    logging.basicConfig(level=logging.INFO)
    signals = []
    signal.signal(signal.SIGTERM, lambda signum, frame: signals.append(signum))
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "group.instance.id": os.environ["INSTANCE_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    consume(consumer, Books(os.environ["DATABASE_URL"]), lambda: not signals)
    consumer.close()


main()
