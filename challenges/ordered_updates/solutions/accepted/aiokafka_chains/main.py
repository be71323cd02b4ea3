"""Applies and publishes changes as asyncio tasks; each waits for the one before it of its item."""

import asyncio
import json
import logging
import os
import signal
from collections import deque

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError

log = logging.getLogger("updates")
MOST_WAITING = 500
PASSING = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


class Delivery:
    def __init__(self, record):
        self.partition, self.offset = record.partition, record.offset
        self.change = json.loads(record.value)
        self.dropped = self.begun = self.done = False
        self.task = None


async def apply(pool, change):
    """Look at the item's version under a lock; write the row if it is the next one."""
    async with pool.acquire() as db, db.transaction():
        await db.execute(
            "insert into versions (item, version) values ($1, 0) on conflict do nothing",
            change["item"])
        version = await db.fetchval(
            "select version from versions where item = $1 for update", change["item"])
        if change["version"] <= version:
            return
        await db.execute(
            "insert into applied (change_id, item, version, stock) values ($1, $2, $3, $4)",
            change["id"], change["item"], change["version"], change["stock"])
        await db.execute(
            "update versions set version = $2 where item = $1", change["item"], change["version"])


class Service(ConsumerRebalanceListener):
    def __init__(self, consumer, producer, pool):
        self.consumer, self.producer, self.pool = consumer, producer, pool
        self.last = {}  # by item: its last task
        self.open = {}  # by partition: deliveries that are not committed
        self.failed = None

    async def handle(self, delivery, previous):
        if previous:
            await asyncio.wait([previous])
        if delivery.dropped or self.failed:
            return
        delivery.begun = True
        try:
            await self.apply_and_publish(delivery.change)
            delivery.done = True
        except Exception as error:
            self.failed = error

    async def apply_and_publish(self, change):
        while True:
            try:
                await apply(self.pool, change)
                break
            except PASSING as error:
                log.warning("%s again: %s", change["id"], error)
        await self.producer.send_and_wait(
            os.environ["UPDATES_TOPIC"], json.dumps(change).encode(), change["item"].encode())

    def accept(self, record):
        delivery = Delivery(record)
        item = delivery.change["item"]
        previous = self.last.get(item)
        delivery.task = asyncio.create_task(self.handle(delivery, previous))
        self.last[item] = delivery.task
        self.open.setdefault(record.partition, deque()).append(delivery)

    async def commit(self):
        offsets = {}
        for partition in self.consumer.assignment():
            deliveries = self.open.get(partition.partition, ())
            while deliveries and deliveries[0].done:
                offsets[partition] = deliveries.popleft().offset + 1
        if offsets:
            try:
                await self.consumer.commit(offsets)
            except (KafkaError, IllegalStateError) as error:
                log.warning("not committed: %s", error)
        self.last = {item: task for item, task in self.last.items() if not task.done()}

    async def on_partitions_revoked(self, revoked):
        deliveries = [d for p in revoked for d in self.open.get(p.partition, ())]
        for delivery in deliveries:
            delivery.dropped = not delivery.begun
        under_way = [d.task for d in deliveries if d.begun and not d.done]
        if under_way:
            await asyncio.wait(under_way, timeout=30)
        await self.commit()
        for partition in revoked:
            self.open.pop(partition.partition, None)

    async def on_partitions_assigned(self, assigned):
        pass

    async def run(self, stopping):
        while not stopping.is_set():
            if self.failed:
                raise self.failed
            if sum(map(len, self.open.values())) > MOST_WAITING:
                await asyncio.sleep(0.05)
            else:
                for records in (await self.consumer.getmany(timeout_ms=50)).values():
                    for record in records:
                        self.accept(record)
            await self.commit()


async def main():
    logging.basicConfig(level=logging.INFO)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=10)
    await pool.execute("create table if not exists versions (item text primary key, version bigint)")
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=os.environ["GROUP_ID"], enable_auto_commit=False,
        auto_offset_reset="earliest")
    service = Service(consumer, producer, pool)
    consumer.subscribe([os.environ["CHANGES_TOPIC"]], listener=service)
    await producer.start()
    await consumer.start()
    try:
        await service.run(stopping)
        await asyncio.wait_for(service.on_partitions_revoked(consumer.assignment()), 3)
    finally:
        # What hangs in the database must not keep us: it rolls back, and comes again.
        try:
            await asyncio.wait_for(consumer.stop(), 1)
        finally:
            logging.shutdown()
            os._exit(0 if stopping.is_set() else 1)


asyncio.run(main())
