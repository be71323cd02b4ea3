"""A pool of single-threaded workers, each with its share of the customers.

A worker may sleep between two attempts: only its own customers wait. Offsets are committed up to
the first record that is still open.
"""

import logging
import os
import signal
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

import shipping
from orders import Poison, parse
from progress import Progress

log = logging.getLogger("orders")
TOPIC, DLQ = os.environ["ORDERS_TOPIC"], os.environ["DLQ_TOPIC"]
PAUSES = (0.22, 0.45, 0.9)
WORKERS = [ThreadPoolExecutor(1) for _ in range(12)]
MOST_OPEN = 500
shipped = set()  # a repeat is not shipped again

producer = Producer({
    "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"], "linger.ms": 0, "acks": "all"})


def handle(message):
    """Bring one record to its outcome."""
    if message.value() is None:
        return
    attempts = 0
    try:
        order = parse(message.value())
        said = (order["customer"], order["item"], order["quantity"])
        if said in shipped:
            log.info("a repeat of %s", said)
            return
        for pause in (*PAUSES, None):
            attempts += 1
            try:
                shipping.ship(order)
                shipped.add(said)
                return
            except shipping.Failed:
                if pause is None:
                    raise
                time.sleep(pause)
    except (Poison, shipping.Refused, shipping.Failed) as error:
        write_dead_letter(message, error, attempts)


def write_dead_letter(message, error, attempts):
    headers = [*(message.headers() or ()),
               ("dlq.topic", message.topic()),
               ("dlq.partition", str(message.partition())),
               ("dlq.offset", str(message.offset())),
               ("dlq.error", str(error)),
               ("dlq.attempts", str(attempts))]
    outcome = []
    producer.produce(DLQ, message.value(), message.key(), headers=headers,
                     on_delivery=lambda error, _: outcome.append(error))
    while not outcome:
        producer.poll(0.1)
    if outcome[0] is not None:
        raise RuntimeError(f"dead letter not written: {outcome[0]}")


class Service:
    def __init__(self):
        self.running = True
        self.progress = {}
        self.consumer = Consumer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })

    def stop(self, signum, frame):
        self.running = False

    def revoked(self, consumer, partitions):
        self.commit()
        for partition in partitions:
            self.progress.pop(partition.partition, None)

    def accept(self, message):
        worker = WORKERS[zlib.crc32(message.key() or b"") % len(WORKERS)]
        progress = self.progress.setdefault(message.partition(), Progress())
        progress.add(message.offset(), worker.submit(handle, message))

    def commit(self):
        offsets = [TopicPartition(TOPIC, partition, offset)
                   for partition, progress in self.progress.items()
                   if (offset := progress.advance()) is not None]
        if offsets:
            try:
                self.consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                log.warning("not committed: %s", error)

    def run(self):
        self.consumer.subscribe([TOPIC], on_revoke=self.revoked)
        while self.running:
            if sum(len(p.open) for p in self.progress.values()) < MOST_OPEN:
                message = self.consumer.poll(0.05)
                if message is not None and not message.error():
                    self.accept(message)
            else:
                time.sleep(0.05)
            self.commit()
        self.consumer.close()


def main():
    logging.basicConfig(level=logging.INFO)
    service = Service()
    signal.signal(signal.SIGTERM, service.stop)
    try:
        service.run()
    except Exception:
        log.exception("ending; the rest is for my next life")
        os._exit(1)  # workers may still sleep
    os._exit(0)


main()
