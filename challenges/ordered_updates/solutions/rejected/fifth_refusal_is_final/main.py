import json
import os
import signal
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

TOPIC = os.environ["CHANGES_TOPIC"]
local = threading.local()


def database():
    if not hasattr(local, "db"):
        local.db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    return local.db


def apply_once(change):
    """Whether the change was not applied yet."""
    fresh = database().execute(
        "insert into versions (item, version) values (%(item)s, %(version)s)"
        " on conflict do nothing", change).rowcount
    if fresh:
        database().execute(
            "insert into applied (change_id, item, version, stock)"
            " values (%(id)s, %(item)s, %(version)s, %(stock)s)", change)
    return fresh


def apply(change):
    for attempt in range(5):
        try:
            with database().transaction():
                apply_once(change)
            return True
        except psycopg.errors.SerializationFailure as error:
            print(change["id"], "attempt", attempt + 1, error)
            time.sleep(0.05 * 2 ** attempt)
    print(change["id"], "could not be applied")
    return False


class Publisher:
    def __init__(self):
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "enable.idempotence": True,
        })
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            self.producer.poll(0.5)

    def publish(self, change):
        answered, errors = threading.Event(), []

        def delivered(error, message):
            errors.extend([error] if error else [])
            answered.set()

        self.producer.produce(
            os.environ["UPDATES_TOPIC"], json.dumps(change), change["item"], on_delivery=delivered)
        answered.wait()
        if errors:
            raise KafkaException(errors[0])


class Task:
    def __init__(self, message):
        self.partition, self.offset = message.partition(), message.offset()
        self.change = json.loads(message.value())
        self.item = self.change["item"]
        self.done = False


class Pool:
    """At most one change of an item is in work."""

    def __init__(self, handle):
        self.handle = handle
        self.workers = ThreadPoolExecutor(8)
        self.changed = threading.Condition()
        self.active, self.waiting, self.tasks = {}, {}, {}

    def add(self, task):
        with self.changed:
            self.tasks.setdefault(task.partition, deque()).append(task)
            if task.item in self.active:
                self.waiting.setdefault(task.item, deque()).append(task)
            else:
                self.begin(task)

    def begin(self, task):
        self.active[task.item] = task
        self.workers.submit(self.run, task)

    def run(self, task):
        try:
            self.handle(task.change)
        except BaseException as error:
            print("ends after", repr(error), flush=True)
            os._exit(1)
        with self.changed:
            task.done = True
            del self.active[task.item]
            if following := self.waiting.get(task.item):
                self.begin(following.popleft())
            self.changed.notify_all()

    def finished(self):
        with self.changed:
            found = {}
            for partition, tasks in self.tasks.items():
                while tasks and tasks[0].done:
                    found[partition] = tasks.popleft().offset + 1
            return found

    def drop(self, partitions, timeout):
        with self.changed:
            for item, tasks in self.waiting.items():
                self.waiting[item] = deque(t for t in tasks if t.partition not in partitions)
            self.changed.wait_for(
                lambda: not any(t.partition in partitions for t in self.active.values()), timeout)

    def forget(self, partitions):
        with self.changed:
            for partition in partitions:
                self.tasks.pop(partition, None)


class Service:
    def __init__(self):
        self.consumer = Consumer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })
        self.publisher = Publisher()
        self.pool = Pool(self.handle)
        self.running = True

    def stop(self, *_):
        self.running = False

    def handle(self, change):
        if apply(change):
            self.publisher.publish(change)

    def commit(self):
        offsets = [TopicPartition(TOPIC, p, o) for p, o in self.pool.finished().items()]
        try:
            if offsets:
                self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            print("not committed:", error)

    def revoked(self, consumer, partitions):
        numbers = [partition.partition for partition in partitions]
        self.pool.drop(numbers, timeout=30)
        self.commit()
        self.pool.forget(numbers)

    def lost(self, consumer, partitions):
        numbers = [partition.partition for partition in partitions]
        self.pool.drop(numbers, timeout=0)
        self.pool.forget(numbers)

    def run(self):
        self.consumer.subscribe([TOPIC], on_revoke=self.revoked, on_lost=self.lost)
        while self.running:
            message = self.consumer.poll(0.05)
            if message is not None and not message.error():
                self.pool.add(Task(message))
            self.commit()

    def close(self):
        self.pool.drop(range(1000), timeout=3)
        self.commit()
        self.consumer.close()


def create_table():
    with database().transaction():
        database().execute("select pg_advisory_xact_lock(1)")
        database().execute(
            "create table if not exists versions"
            " (item text, version bigint, primary key (item, version))")


def main():
    create_table()
    service = Service()
    signal.signal(signal.SIGTERM, service.stop)
    service.run()
    service.close()
    os._exit(0)


main()
