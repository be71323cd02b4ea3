"""Applies changes with a pool and publishes without waiting for each answer.

The producer is idempotent, so what it has in flight keeps its order; a change counts as finished
when the broker has it. A write that fails for good ends the program: what was not finished comes
again after the restart.
"""

import json
import logging
import os
import queue
import signal
import sys
import threading
from collections import deque

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

log = logging.getLogger("updates")
TOPIC = os.environ["CHANGES_TOPIC"]
WORKERS = 8


class Job:
    def __init__(self, message):
        self.partition, self.offset = message.partition(), message.offset()
        self.change = json.loads(message.value())
        self.finished = False


class Pool:
    """Workers take the next item that has something to do, and one change of it."""

    def __init__(self, producer):
        self.producer = producer
        self.lock = threading.RLock()
        self.jobs = {}  # by item, in order; the item is with a worker, or in `ready`
        self.ready = queue.SimpleQueue()
        self.busy = {}  # by worker: the job it is at
        self.progress = {}  # by partition
        for number in range(WORKERS):
            threading.Thread(target=self.work, args=(number,), daemon=True).start()

    def add(self, job):
        with self.lock:
            self.progress.setdefault(job.partition, deque()).append(job)
            item = job.change["item"]
            if item not in self.jobs:
                self.jobs[item] = deque()
                self.ready.put(item)
            self.jobs[item].append(job)

    def work(self, number):
        try:
            db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
            while True:
                self.do_one(number, db, self.ready.get())
        except BaseException:
            log.exception("the program ends")
            os._exit(1)

    def do_one(self, number, db, item):
        with self.lock:
            if not self.jobs[item]:
                del self.jobs[item]
                return
            job = self.busy[number] = self.jobs[item].popleft()
        apply(db, job.change)
        self.publish(job)
        with self.lock:
            del self.busy[number]
            self.ready.put(item)

    def publish(self, job):
        def delivered(error, message):
            if error:
                log.error("%s could not be published: %s", job.change["id"], error)
                os._exit(1)
            job.finished = True

        self.producer.produce(
            os.environ["UPDATES_TOPIC"], json.dumps(job.change), job.change["item"],
            on_delivery=delivered)

    def drop(self, partitions):
        with self.lock:
            for jobs in self.jobs.values():
                kept = [job for job in jobs if job.partition not in partitions]
                jobs.clear()
                jobs.extend(kept)

    def is_at(self, partitions):
        with self.lock:
            return any(job.partition in partitions for job in self.busy.values())

    def reached(self):
        found = {}
        with self.lock:
            for partition, jobs in self.progress.items():
                while jobs and jobs[0].finished:
                    found[partition] = jobs.popleft().offset + 1
        return found


def apply(db, change):
    while True:
        try:
            with db.transaction():
                return apply_once(db, change)
        except psycopg.errors.SerializationFailure as error:
            log.warning("%s: %s", change["id"], error)


def apply_once(db, change):
    # Whoever holds the lock is the only one at this item; the next statement sees what he did.
    db.execute("select pg_advisory_xact_lock(hashtextextended(%(item)s, 0))", change)
    db.execute("insert into applied (change_id, item, version, stock)"
               " select %(id)s, %(item)s, %(version)s, %(stock)s"
               " where not exists (select from applied where change_id = %(id)s)", change)


class Service:
    def __init__(self, consumer):
        self.consumer = consumer
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "enable.idempotence": True,
            "max.in.flight.requests.per.connection": 5,
        })
        self.pool = Pool(self.producer)
        self.due = {}  # by partition: what is finished and not committed yet
        self.running = True

    def stop(self, *_):
        self.running = False

    def commit(self):
        """What is rejected during a rebalance is tried again, if the partition is kept."""
        self.producer.poll(0)
        self.due |= self.pool.reached()
        if not self.due:
            return
        offsets = [TopicPartition(TOPIC, p, o) for p, o in self.due.items()]
        try:
            self.consumer.commit(offsets=offsets, asynchronous=False)
            self.due.clear()
        except KafkaException as error:
            log.warning("not committed: %s", error)

    def hand_over(self, consumer, partitions, seconds=30.0):
        numbers = {partition.partition for partition in partitions}
        self.pool.drop(numbers)
        while self.pool.is_at(numbers) and seconds > 0:
            self.producer.poll(0.05)
            seconds -= 0.05
        self.producer.flush(max(seconds, 0.5))
        self.commit()
        self.forget(numbers)

    def lost(self, consumer, partitions):
        numbers = {partition.partition for partition in partitions}
        self.pool.drop(numbers)
        self.forget(numbers)

    def forget(self, numbers):
        with self.pool.lock:
            for number in numbers:
                self.pool.progress.pop(number, None)
                self.due.pop(number, None)

    def run(self):
        self.consumer.subscribe([TOPIC], on_revoke=self.hand_over, on_lost=self.lost)
        while self.running:
            message = self.consumer.poll(0.02)
            if message is not None and not message.error():
                self.pool.add(Job(message))
            self.commit()


def main():
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    service = Service(consumer)
    signal.signal(signal.SIGTERM, service.stop)
    service.run()
    service.hand_over(consumer, [TopicPartition(TOPIC, p) for p in range(64)], seconds=3)
    consumer.close()
    os._exit(0)


main()
