import json
import logging
import os
import signal

import psycopg
from confluent_kafka import Consumer

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("ledger-writer")


class LedgerWriter:
    def __init__(self):
        self.stopping = False
        self.db = psycopg.connect(os.environ["DATABASE_URL"])
        self.consumer = Consumer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })
        self.consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])

    def stop(self, *_):
        self.stopping = True

    def handle(self, event):
        """Ledger and balance change together, so the books are always consistent."""
        with self.db.transaction():
            self.db.execute(
                "INSERT INTO ledger (event_id, account, amount) VALUES (%s, %s, %s)",
                (event["id"], event["account"], event["amount"]),
            )
            self.db.execute(
                "INSERT INTO balances (account, balance) VALUES (%s, %s) "
                "ON CONFLICT (account) DO UPDATE "
                "SET balance = balances.balance + EXCLUDED.balance",
                (event["account"], event["amount"]),
            )

    def run(self):
        while not self.stopping:
            message = self.consumer.poll(0.5)
            if message is None:
                continue
            if message.error():
                log.error("kafka: %s", message.error())
                continue
            self.handle(json.loads(message.value()))
            # Only after the database has it: manual commit gives us exactly-once.
            self.consumer.commit(message, asynchronous=False)
        self.consumer.close()


writer = LedgerWriter()
signal.signal(signal.SIGTERM, writer.stop)
writer.run()
