"""Books a batch in one database transaction, then commits its offsets in a Kafka transaction."""

import json
import os
import signal
import sys

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from psycopg.errors import DeadlockDetected, SerializationFailure

running = True


def stop(signum, frame):
    global running
    running = False


def prepare():
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    with db.transaction():
        db.execute("select pg_advisory_xact_lock(1)")  # two instances may start at once
        db.execute("create table if not exists booked (id text primary key)")
    return db


def book(db, events):
    while True:
        try:
            with db.transaction():
                for event in events:
                    book_once(db, event)
            return
        except (SerializationFailure, DeadlockDetected) as error:
            print("once more:", error)


def book_once(db, event):
    fresh = db.execute("insert into booked values (%(id)s) on conflict do nothing", event).rowcount
    if fresh:
        db.execute(
            "insert into ledger (event_id, account, amount)"
            " values (%(id)s, %(account)s, %(amount)s)", event)
        db.execute(
            "insert into balances values (%(account)s, %(amount)s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance", event)


def commit(producer, consumer, messages):
    """All offsets of the batch, or none. A fenced producer ends the program."""
    ends = {(m.topic(), m.partition()): m.offset() + 1 for m in messages}
    try:
        producer.begin_transaction()
        producer.send_offsets_to_transaction(
            [TopicPartition(*lane, offset) for lane, offset in ends.items()],
            consumer.consumer_group_metadata())
        producer.commit_transaction()
    except KafkaException as error:
        print("not committed:", error)
        if not error.args[0].txn_requires_abort():
            sys.exit(1)
        producer.abort_transaction()


def main():
    signal.signal(signal.SIGTERM, stop)
    db = prepare()
    servers = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
    producer = Producer({**servers, "transactional.id": os.environ["INSTANCE_ID"]})
    producer.init_transactions()
    consumer = Consumer({
        **servers,
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while running:
        messages = [m for m in consumer.consume(50, timeout=0.3) if not m.error()]
        if messages:
            book(db, [json.loads(m.value()) for m in messages])
            commit(producer, consumer, messages)
    consumer.close()


main()
