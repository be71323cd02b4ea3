import hashlib
import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException


def fingerprint(event):
    """Producers retry with a new envelope; what the payment says is its identity."""
    content = json.dumps({"account": event["account"], "amount": event["amount"]}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def book(db, event):
    with db.transaction():
        known = db.execute(
            "insert into processed_payments (fingerprint) values (%s)"
            " on conflict do nothing returning fingerprint",
            (fingerprint(event),),
        ).fetchone() is None
        if known:
            return
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]),
        )
        db.execute(
            "insert into balances (account, balance) values (%s, %s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance",
            (event["account"], event["amount"]),
        )


class App:
    def __init__(self):
        self.running = True
        self.db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        self.db.execute(
            "create table if not exists processed_payments (fingerprint text primary key)")
        self.consumer = Consumer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })
        self.consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])

    def stop(self, *_):
        self.running = False

    def step(self):
        message = self.consumer.poll(0.25)
        if message is None or message.error():
            return
        book(self.db, json.loads(message.value()))
        try:
            self.consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            print("offset not committed:", error)


app = App()
signal.signal(signal.SIGTERM, app.stop)
while app.running:
    app.step()
app.consumer.close()
