"""Accounts kept as events, with SQLAlchemy: deposits in batches, an advisory lock for each account.

States are kept in memory and brought up to date from the log before each use. At the first error
that is not a client's the program ends; a restart goes on from the last stored offset.
"""

import json
import os
import signal
import sys
import threading

from confluent_kafka import Consumer, KafkaException

from publishing import Publisher
from snapshots import Snapshots
from store import Store
from web import serve


def die(work):
    """Run something for ever; when it fails, the program ends."""
    def run():
        try:
            work()
        except BaseException as error:
            print("ended by", repr(error), flush=True)
            os._exit(1)
    threading.Thread(target=run, daemon=True).start()


def main():
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    snapshots = Snapshots()
    store = Store(snapshots.due)
    die(lambda: serve(store))
    die(Publisher(store.engine).run)
    die(lambda: snapshots.run(store))
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "partition.assignment.strategy": "cooperative-sticky",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": True,
        "auto.commit.interval.ms": 500,
        "enable.auto.offset.store": False,
    })
    consumer.subscribe([os.environ["DEPOSITS_TOPIC"]])
    try:
        while True:
            batch = [m for m in consumer.consume(50, timeout=0.2) if not m.error()]
            if batch:
                store.deposit([json.loads(message.value()) for message in batch])
            for message in batch:
                try:
                    consumer.store_offsets(message)
                except KafkaException as error:
                    print("partition taken away:", error)
    finally:
        consumer.close()


main()
