import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException


class Processor:
    def __init__(self, url):
        self.db = psycopg.connect(url)

    def already_booked(self, event):
        row = self.db.execute(
            "SELECT 1 FROM ledger WHERE event_id = %s", (event["id"],)
        ).fetchone()
        return row is not None

    def process(self, event):
        # Check and write share one transaction, so nothing can come in between.
        with self.db.transaction():
            if self.already_booked(event):
                return
            self.db.execute(
                "INSERT INTO ledger (event_id, account, amount) VALUES (%s, %s, %s)",
                (event["id"], event["account"], event["amount"]),
            )
            self.db.execute(
                "INSERT INTO balances (account, balance) VALUES (%s, %s)"
                " ON CONFLICT (account)"
                " DO UPDATE SET balance = balances.balance + EXCLUDED.balance",
                (event["account"], event["amount"]),
            )


def main():
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    processor = Processor(os.environ["DATABASE_URL"])
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while running:
        message = consumer.poll(0.5)
        if message is None or message.error():
            continue
        processor.process(json.loads(message.value()))
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as e:
            print("commit failed, will be redelivered:", e)
    consumer.close()


main()
