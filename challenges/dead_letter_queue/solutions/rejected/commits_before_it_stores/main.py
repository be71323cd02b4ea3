"""Records go into a table, and their offsets are committed right before.

Threads take the oldest open record of a customer that nobody works on and whose time has come. So
attempts are counted over restarts, and a waiting record holds up only its own customer.
"""

import logging
import os
import signal
import threading

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

import inbox
from worker import work

logging.basicConfig(level=logging.WARNING)
log = logging.getLogger("orders")


def main():
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    inbox.create()
    failed = []

    def run_worker():
        try:
            work(stopping)
        except Exception:
            log.exception("a worker ends")
            failed.append(1)

    workers = [threading.Thread(target=run_worker, daemon=True) for _ in range(8)]
    for worker in workers:
        worker.start()
    consumer = KafkaConsumer(
        os.environ["ORDERS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        client_id=os.environ["INSTANCE_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    db = inbox.connect()
    while not stopping.is_set() and not failed:
        for partition, records in consumer.poll(timeout_ms=200).items():
            commit(consumer, partition, records[-1].offset + 1)
            inbox.store(db, records)
    if failed:
        os._exit(1)
    for worker in workers:
        worker.join(3)
    consumer.close()


def commit(consumer, partition, offset):
    try:
        consumer.commit({TopicPartition(*partition): OffsetAndMetadata(offset, "", -1)})
    except KafkaError as error:
        log.warning("not committed, it will come again: %s", error)


main()
