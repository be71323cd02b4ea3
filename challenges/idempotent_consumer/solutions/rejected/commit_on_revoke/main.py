import json
import os
import queue
import signal
import threading

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

TOPIC = os.environ["PAYMENTS_TOPIC"]


def book(db, event):
    with db.transaction():
        marker = db.execute(
            "insert into processed_events (event_id) values (%s) on conflict do nothing",
            (event["id"],))
        if marker.rowcount == 0:
            return
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]))
        db.execute(
            "insert into balances (account, balance) values (%s, %s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance",
            (event["account"], event["amount"]))


class Writer(threading.Thread):
    """Books in the background, in order, so that polling never waits for the database."""

    def __init__(self):
        super().__init__(daemon=True)
        self.inbox, self.booked = queue.Queue(maxsize=500), queue.Queue()
        self.db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        self.db.execute("create table if not exists processed_events (event_id text primary key)")

    def run(self):
        while True:
            message = self.inbox.get()
            book(self.db, json.loads(message.value()))
            self.booked.put(message)
            self.inbox.task_done()


def commit_booked(consumer, writer):
    while not writer.booked.empty():
        message = writer.booked.get()
        offset = TopicPartition(TOPIC, message.partition(), message.offset() + 1)
        try:
            consumer.commit(offsets=[offset], asynchronous=False)
        except KafkaException as error:
            print("not committed:", error)


def before_revoke(consumer, partitions):
    """The next owner should not see again what we have had."""
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as error:
        print("nothing to commit:", error)


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    writer = Writer()
    writer.start()
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([TOPIC], on_revoke=before_revoke)
    while not stop and writer.is_alive():
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            writer.inbox.put(message)
        commit_booked(consumer, writer)
    if not writer.is_alive():
        os._exit(1)
    writer.inbox.join()
    commit_booked(consumer, writer)
    consumer.close()


main()
