"""Books payments with a pool of workers and the consumer protocol of KIP-848.

Workers finish in any order; only offsets below the first unfinished record are committed.
"""

import json
import logging
import os
import signal
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from confluent_kafka import Consumer, KafkaException, TopicPartition

from booking import book, create_table
from progress import Progress

log = logging.getLogger("payments")
WORKERS = 4
IN_FLIGHT = 40


class Service:
    def __init__(self, consumer):
        self.consumer = consumer
        self.workers = ThreadPoolExecutor(WORKERS)
        self.progress = {}
        self.due = {}  # by partition: what is finished and not committed yet
        self.running = True

    def stop(self, signum, frame):
        self.running = False

    def revoked(self, consumer, partitions):
        """Commit what is finished; what is still running will be seen again by the new owner."""
        self.commit()
        self.lost(consumer, partitions)

    def lost(self, consumer, partitions):
        for partition in partitions:
            self.progress.pop(partition.partition, None)
            self.due.pop(partition.partition, None)

    def accept(self, message):
        future = self.workers.submit(book, json.loads(message.value()))
        self.progress.setdefault(message.partition(), Progress()).add(message.offset(), future)

    def commit(self):
        """What is rejected during a rebalance is tried again, if the partition is kept."""
        for partition, progress in self.progress.items():
            if (offset := progress.advance()) is not None:
                self.due[partition] = offset
        if not self.due:
            return
        topic = os.environ["PAYMENTS_TOPIC"]
        offsets = [TopicPartition(topic, p, o) for p, o in self.due.items()]
        try:
            self.consumer.commit(offsets=offsets, asynchronous=False)
            self.due.clear()
        except KafkaException as error:
            log.warning("not committed: %s", error)

    def in_flight(self):
        return [future for progress in self.progress.values() for future in progress.running()]

    def run(self):
        while self.running:
            in_flight = self.in_flight()
            if len(in_flight) >= IN_FLIGHT:
                wait(in_flight, timeout=0.2, return_when=FIRST_COMPLETED)
            else:
                message = self.consumer.poll(0.05)
                if message is not None and not message.error():
                    self.accept(message)
            self.commit()

    def close(self):
        self.workers.shutdown(wait=True)
        self.commit()
        self.consumer.close()


def main():
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    create_table()
    service = Service(Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "group.protocol": "consumer",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    }))
    signal.signal(signal.SIGTERM, service.stop)
    service.consumer.subscribe(
        [os.environ["PAYMENTS_TOPIC"]], on_revoke=service.revoked, on_lost=service.lost)
    service.run()
    service.close()


main()
