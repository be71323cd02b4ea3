"""Applies and publishes changes with a pool of workers, at most one at a time for each item."""

import functools
import json
import logging
import os
import signal
import sys

from confluent_kafka import Consumer, KafkaException, TopicPartition

import store
from lanes import Lanes, Task
from publishing import Publisher

log = logging.getLogger("updates")
TOPIC = os.environ["CHANGES_TOPIC"]
WORKERS = 8
MOST_WAITING = 1000


class Service:
    def __init__(self, consumer):
        self.consumer = consumer
        self.lanes = Lanes(WORKERS)
        self.publisher = Publisher()
        self.running = True

    def stop(self, signum, frame):
        self.running = False

    def handle(self, change):
        """Apply and publish. What is found applied is published too: nobody knows whether it was
        before the crash that made it come again."""
        store.apply(change)
        self.publisher.publish(change)

    def accept(self, message):
        change = json.loads(message.value())
        if not all(change.values()):
            log.warning("incomplete: %s", change)
            return
        work = functools.partial(self.handle, change)
        self.lanes.add(Task(message.partition(), message.offset(), change["item"], work))

    def commit(self):
        offsets = [TopicPartition(TOPIC, p, o) for p, o in self.lanes.finished().items()]
        if not offsets:
            return
        try:
            self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            log.warning("not committed: %s", error)

    def revoked(self, consumer, partitions):
        """Hand over: finish what has begun, commit, forget the rest."""
        numbers = [partition.partition for partition in partitions]
        self.lanes.drop(numbers, timeout=30)
        self.commit()
        self.lanes.forget(numbers)

    def lost(self, consumer, partitions):
        numbers = [partition.partition for partition in partitions]
        self.lanes.drop(numbers, timeout=0)
        self.lanes.forget(numbers)

    def run(self):
        self.consumer.subscribe([TOPIC], on_revoke=self.revoked, on_lost=self.lost)
        while self.running:
            full = self.lanes.size() >= MOST_WAITING
            message = None if full else self.consumer.poll(0.05)
            if message is not None and not message.error():
                self.accept(message)
            self.commit()

    def close(self):
        self.lanes.drop(range(1000), timeout=3)
        self.commit()
        self.consumer.close()


def main():
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    store.create_table()
    service = Service(Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    }))
    signal.signal(signal.SIGTERM, service.stop)
    service.run()
    service.close()
    os._exit(0)  # a worker may still wait for the database


main()
