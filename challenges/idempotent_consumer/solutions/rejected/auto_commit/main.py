import json
import os
import signal

import psycopg
from confluent_kafka import Consumer


class PaymentService:
    def __init__(self, db):
        self.db = db
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS processed_events (event_id text PRIMARY KEY)")

    def handle(self, event):
        with self.db.transaction():
            if self.first_time(event["id"]):
                self.add_entry(event)
                self.add_to_balance(event)

    def first_time(self, event_id):
        return self.db.execute(
            "INSERT INTO processed_events VALUES (%s) ON CONFLICT DO NOTHING", (event_id,)
        ).rowcount > 0

    def add_entry(self, event):
        self.db.execute(
            "INSERT INTO ledger (event_id, account, amount) VALUES (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]))

    def add_to_balance(self, event):
        self.db.execute(
            "INSERT INTO balances VALUES (%s, %s) ON CONFLICT (account)"
            " DO UPDATE SET balance = balances.balance + EXCLUDED.balance",
            (event["account"], event["amount"]))


def main():
    running = True

    def stop(*_):
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    service = PaymentService(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True))
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while running:
        message = consumer.poll(0.5)
        if message is not None and not message.error():
            service.handle(json.loads(message.value()))
    consumer.close()


main()
