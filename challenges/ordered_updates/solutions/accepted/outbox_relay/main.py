"""Applies changes with a pool, and leaves publishing to a relay that empties an outbox."""

import json
import logging
import os
import signal
import sys

from confluent_kafka import Consumer, KafkaException, TopicPartition

from applying import Applier
from relay import Relay
from tables import create_tables, make_engine

log = logging.getLogger("updates")
TOPIC = os.environ["CHANGES_TOPIC"]


class Service:
    def __init__(self, consumer, applier, relay):
        self.consumer, self.applier, self.relay = consumer, applier, relay
        self.due = {}  # by partition: what is finished and not committed yet
        self.running = True

    def stop(self, *_):
        self.running = False

    def commit(self):
        """What is rejected during a rebalance is tried again, if the partition is kept."""
        self.due |= self.applier.finished()
        if not self.due:
            return
        offsets = [TopicPartition(TOPIC, p, o) for p, o in self.due.items()]
        try:
            self.consumer.commit(offsets=offsets, asynchronous=False)
            self.due.clear()
        except KafkaException as error:
            log.warning("not committed: %s", error)

    def revoked(self, consumer, partitions):
        numbers = {partition.partition for partition in partitions}
        self.applier.let_go(numbers, timeout=30)
        self.commit()
        self.forget(numbers)

    def lost(self, consumer, partitions):
        numbers = {partition.partition for partition in partitions}
        self.applier.let_go(numbers, timeout=0)
        self.forget(numbers)

    def forget(self, numbers):
        self.applier.forget(numbers)
        for number in numbers:
            self.due.pop(number, None)

    def run(self):
        self.consumer.subscribe([TOPIC], on_revoke=self.revoked, on_lost=self.lost)
        while self.running and self.relay.is_alive():
            message = self.consumer.poll(0.05)
            if message is not None and not message.error():
                change = json.loads(message.value())
                self.applier.add(message.partition(), message.offset(), change)
            self.commit()


def main():
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    engine = make_engine()
    create_tables(engine)
    relay = Relay(engine)
    relay.start()
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "group.protocol": "consumer",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    service = Service(consumer, Applier(engine, relay.wake), relay)
    signal.signal(signal.SIGTERM, service.stop)
    service.run()
    service.applier.let_go(set(range(100)), timeout=3)
    service.commit()
    consumer.close()
    os._exit(0 if not service.running else 1)


main()
