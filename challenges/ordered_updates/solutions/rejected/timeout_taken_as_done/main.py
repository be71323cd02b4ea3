"""Applies and publishes changes in twelve threads; the item's hash decides which thread's queue."""

import json
import logging
import os
import queue
import signal
import threading
import time
import zlib
from collections import deque

import psycopg2
import psycopg2.errors
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

log = logging.getLogger("updates")
SHARDS = 12
SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]


class Work:
    def __init__(self, record):
        self.partition, self.offset = record.partition, record.offset
        self.change = json.loads(record.value)
        self.done = False


class Shard(threading.Thread):
    """One thread, one connection, one change at a time."""

    def __init__(self, producer):
        super().__init__(daemon=True)
        self.producer, self.queue, self.working_on = producer, queue.Queue(), None
        self.revoked = set()
        self.lock = threading.Lock()
        self.failed = False

    def run(self):
        try:
            db = psycopg2.connect(os.environ["DATABASE_URL"])
            while True:
                self.handle(db, self.queue.get())
        except Exception:
            log.exception("shard ends")
            self.failed = True

    def handle(self, db, work):
        with self.lock:
            if work.partition in self.revoked:
                return
            self.working_on = work
        self.apply(db, work.change)
        self.publish(work.change)
        work.done = True
        self.working_on = None

    def apply(self, db, change):
        while True:
            try:
                with db, db.cursor() as cursor:
                    return self.apply_once(cursor, change)
            except psycopg2.errors.SerializationFailure as error:
                log.warning("%s again: %s", change["id"], error)

    def apply_once(self, cursor, change):
        # Nobody else may look at this item until the end of the transaction.
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%(item)s, 0))", change)
        cursor.execute("select max(version) from versions where item = %(item)s", change)
        if change["version"] <= (cursor.fetchone()[0] or 0):
            return
        cursor.execute("insert into versions values (%(item)s, %(version)s)", change)
        cursor.execute(
            "insert into applied (change_id, item, version, stock)"
            " values (%(id)s, %(item)s, %(version)s, %(stock)s)", change)

    def publish(self, change):
        while True:
            try:
                self.producer.send(
                    os.environ["UPDATES_TOPIC"], json.dumps(change).encode(),
                    key=change["item"].encode()).get(timeout=10)
                return
            except KafkaError as error:
                log.warning("%s may be late, the client goes on trying: %s", change["id"], error)
                return

    def drop(self, partitions):
        with self.lock:
            self.revoked |= partitions

    def is_working_on(self, partitions):
        work = self.working_on
        return work is not None and work.partition in partitions


class Service(ConsumerRebalanceListener):
    def __init__(self, consumer, producer):
        self.consumer = consumer
        self.producer = producer
        self.shards = self.make_shards()
        self.open = {}
        self.running = True

    def make_shards(self):
        shards = [Shard(self.producer) for _ in range(SHARDS)]
        for shard in shards:
            shard.start()
        return shards

    def stop(self, *_):
        self.running = False

    def on_partitions_revoked(self, revoked):
        self.hand_over({partition.partition for partition in revoked}, 30)

    def on_partitions_assigned(self, assigned):
        # Work of an earlier ownership has been dropped by now: the queues are empty of it.
        for shard in self.shards:
            shard.revoked -= {partition.partition for partition in assigned}

    def hand_over(self, partitions, patience):
        for shard in self.shards:
            shard.drop(partitions)
        until = time.monotonic() + patience
        while any(s.is_working_on(partitions) or not s.queue.empty() for s in self.shards):
            if time.monotonic() > until:
                break
            time.sleep(0.01)
        self.commit()
        for partition in partitions:
            self.open.pop(partition, None)

    def accept(self, record):
        work = Work(record)
        self.open.setdefault(record.partition, deque()).append(work)
        shard = zlib.crc32(work.change["item"].encode()) % SHARDS
        self.shards[shard].queue.put(work)

    def commit(self):
        offsets = {}
        for partition in self.consumer.assignment():
            works = self.open.get(partition.partition, ())
            while works and works[0].done:
                offsets[partition] = OffsetAndMetadata(works.popleft().offset + 1, "", -1)
        if offsets:
            try:
                self.consumer.commit(offsets)
            except KafkaError as error:
                log.warning("not committed: %s", error)

    def run(self):
        self.consumer.subscribe([os.environ["CHANGES_TOPIC"]], listener=self)
        while self.running and not any(shard.failed for shard in self.shards):
            for records in self.consumer.poll(timeout_ms=50).values():
                for record in records:
                    self.accept(record)
            self.commit()


def create_table():
    with psycopg2.connect(os.environ["DATABASE_URL"]) as db, db.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(7)")
        cursor.execute("create table if not exists versions (item text, version bigint,"
                       " primary key (item, version))")


def main():
    logging.basicConfig(level=logging.WARNING)
    create_table()
    # One request at a time: what is sent again is sent before anything that comes after it.
    producer = KafkaProducer(
        bootstrap_servers=SERVERS, acks="all", max_in_flight_requests_per_connection=1)
    consumer = KafkaConsumer(
        bootstrap_servers=SERVERS, group_id=os.environ["GROUP_ID"], enable_auto_commit=False,
        auto_offset_reset="earliest")
    service = Service(consumer, producer)
    signal.signal(signal.SIGTERM, service.stop)
    service.run()
    service.hand_over({partition.partition for partition in consumer.assignment()}, 3)
    consumer.close(autocommit=False)
    os._exit(0 if not service.running else 1)


main()
