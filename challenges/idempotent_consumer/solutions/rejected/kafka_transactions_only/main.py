import json
import os
import signal
import sys

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

SERVERS = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}


def book(db, event):
    with db.transaction():
        db.execute(
            "insert into ledger (event_id, account, amount)"
            " values (%(id)s, %(account)s, %(amount)s)", event)
        db.execute(
            "insert into balances (account, balance) values (%(account)s, %(amount)s)"
            " on conflict (account)"
            " do update set balance = balances.balance + excluded.balance", event)


def process(producer, consumer, db, message):
    """Exactly once: the offset is part of a transaction, and a zombie is fenced."""
    producer.begin_transaction()
    book(db, json.loads(message.value()))
    producer.send_offsets_to_transaction(
        [TopicPartition(message.topic(), message.partition(), message.offset() + 1)],
        consumer.consumer_group_metadata())
    producer.commit_transaction()


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    producer = Producer({**SERVERS, "transactional.id": os.environ["INSTANCE_ID"]})
    producer.init_transactions()
    consumer = Consumer({
        **SERVERS,
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while not stop:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        try:
            process(producer, consumer, db, message)
        except KafkaException as error:
            print("could not commit:", error)
            sys.exit(1)
    consumer.close()


main()
