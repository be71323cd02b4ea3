import json
import os
import queue
import signal
import threading

from confluent_kafka import Consumer, KafkaException, TopicPartition

from worker import Worker

WORKERS = 4
TOPIC = os.environ["PAYMENTS_TOPIC"]


class Offsets:
    """What the workers finished since the last commit."""

    def __init__(self):
        self.lock = threading.Lock()
        self.finished = {}

    def done(self, partition, offset):
        with self.lock:
            self.finished[partition] = max(offset, self.finished.get(partition, -1))

    def take(self):
        with self.lock:
            finished, self.finished = self.finished, {}
        return [TopicPartition(TOPIC, partition, offset + 1)
                for partition, offset in finished.items()]


def commit(consumer, offsets):
    ready = offsets.take()
    if ready:
        try:
            consumer.commit(offsets=ready, asynchronous=False)
        except KafkaException as error:
            print("commit:", error)


def main():
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    tasks, offsets = queue.Queue(maxsize=100), Offsets()
    workers = [Worker(tasks, offsets) for _ in range(WORKERS)]
    workers[0].create_table()
    for worker in workers:
        worker.start()
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([TOPIC])
    while not stop.is_set() and all(worker.is_alive() for worker in workers):
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            event = json.loads(message.value())
            tasks.put((message.partition(), message.offset(), event))
        commit(consumer, offsets)
    consumer.close()
    if not stop.is_set():
        os._exit(1)  # a worker died: start over


main()
