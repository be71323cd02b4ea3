"""Books payments, one task per partition; an advisory lock per event id makes looking safe."""

import asyncio
import json
import logging
import os
import signal

import psycopg
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

log = logging.getLogger("payments")


async def book(db, event):
    async with db.transaction():
        await db.execute("select pg_advisory_xact_lock(hashtextextended(%(id)s, 0))", event)
        known = await db.execute("select from ledger where event_id = %(id)s", event)
        if known.rowcount:
            return
        await db.execute(
            "insert into ledger (event_id, account, amount)"
            " values (%(id)s, %(account)s, %(amount)s)", event)
        await db.execute(
            "insert into balances values (%(account)s, %(amount)s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance", event)


class PartitionTasks(ConsumerRebalanceListener):
    """One task for each partition we own; a task ends when its partition is taken away."""

    def __init__(self, consumer):
        self.consumer = consumer
        self.tasks = {}

    async def on_partitions_assigned(self, assigned):
        for partition in assigned:
            self.tasks[partition] = asyncio.create_task(self.work(partition))

    async def on_partitions_revoked(self, revoked):
        tasks = [self.tasks.pop(partition) for partition in revoked if partition in self.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def work(self, partition: TopicPartition):
        async with await psycopg.AsyncConnection.connect(
            os.environ["DATABASE_URL"], autocommit=True
        ) as db:
            while True:
                record = await self.consumer.getone(partition)
                await self.book_patiently(db, json.loads(record.value))
                try:
                    await self.consumer.commit({partition: record.offset + 1})
                except (KafkaError, IllegalStateError) as error:
                    log.warning("%s not committed: %s", partition, error)

    async def book_patiently(self, db, event):
        while True:
            try:
                return await book(db, event)
            except psycopg.OperationalError as error:
                if db.broken:
                    raise
                log.warning("%s: %s", event["id"], error)

    async def first_failure(self):
        while True:
            for task in list(self.tasks.values()):
                if task.done():
                    return task.result()
            await asyncio.sleep(0.1)


async def main():
    logging.basicConfig(level=logging.WARNING)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        client_id=os.environ["INSTANCE_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    tasks = PartitionTasks(consumer)
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]], listener=tasks)
    await consumer.start()
    failure = asyncio.create_task(tasks.first_failure())
    stop = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait({failure, stop}, return_when=asyncio.FIRST_COMPLETED)
    await consumer.stop()
    if failure in done:
        failure.result()


asyncio.run(main())
