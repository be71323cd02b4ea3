import json
import os
import signal
from dataclasses import dataclass

import psycopg
from confluent_kafka import Consumer, KafkaException


@dataclass
class Payment:
    id: str
    account: str
    amount: int

    @classmethod
    def parse(cls, value):
        fields = json.loads(value)
        return cls(fields["id"], fields["account"], fields["amount"])


def book(db, payment):
    with db.transaction():
        marker = db.execute(
            "insert into processed_events (event_id) values (%s) on conflict do nothing",
            (payment.id,))
        if marker.rowcount == 0:
            return
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s::int)",
            (payment.id, payment.account, payment.amount))
        db.execute(
            "insert into balances (account, balance) values (%s, %s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance",
            (payment.account, payment.amount))


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    db.execute("create table if not exists processed_events (event_id text primary key)")
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while not stop:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        book(db, Payment.parse(message.value()))
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            print("commit failed:", error)
    consumer.close()


main()
