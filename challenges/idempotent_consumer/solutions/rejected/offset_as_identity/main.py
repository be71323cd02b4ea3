import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

SCHEMA = """
CREATE TABLE IF NOT EXISTS processed_messages (
    topic text, kafka_partition int, kafka_offset bigint,
    PRIMARY KEY (topic, kafka_partition, kafka_offset)
)
"""


def process(db, message):
    """Exactly once: topic, partition and offset identify a message uniquely."""
    with db.transaction():
        inserted = db.execute(
            "INSERT INTO processed_messages VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (message.topic(), message.partition(), message.offset()),
        ).rowcount
        if not inserted:
            return
        event = json.loads(message.value())
        db.execute(
            "INSERT INTO ledger (event_id, account, amount) VALUES (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]),
        )
        db.execute(
            "INSERT INTO balances VALUES (%s, %s) ON CONFLICT (account)"
            " DO UPDATE SET balance = balances.balance + EXCLUDED.balance",
            (event["account"], event["amount"]),
        )


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *args: stop.append(args))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    db.execute(SCHEMA)
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
        process(db, message)
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            print("rebalanced:", error)
    consumer.close()


main()
