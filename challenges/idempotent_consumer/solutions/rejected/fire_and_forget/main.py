import asyncio
import json
import logging
import os
import signal

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError

log = logging.getLogger("payments")
BOOK = """
    with fresh as (
        insert into processed_events (event_id) values ($1)
        on conflict do nothing returning event_id
    ), entry as (
        insert into ledger (event_id, account, amount) select event_id, $2, $3 from fresh
    )
    insert into balances (account, balance) select $2, $3 from fresh
    on conflict (account) do update set balance = balances.balance + excluded.balance
"""


class Service:
    def __init__(self, pool, consumer):
        self.pool = pool
        self.consumer = consumer
        self.tasks = set()

    async def book(self, event):
        for attempt in range(1, 6):
            try:
                await self.pool.execute(BOOK, event["id"], event["account"], event["amount"])
                return
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
                log.warning("%s, attempt %s: %s", event["id"], attempt, error)

    def spawn(self, event):
        task = asyncio.create_task(self.book(event))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self, stopping):
        while not stopping.is_set():
            batches = await self.consumer.getmany(timeout_ms=200)
            for records in batches.values():
                for record in records:
                    self.spawn(json.loads(record.value))
            if batches:
                try:
                    await self.consumer.commit()
                except CommitFailedError as error:
                    log.warning("%s", error)
        await asyncio.gather(*self.tasks)


async def main():
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=4, max_size=4)
    await pool.execute("create table if not exists processed_events (event_id text primary key)")
    consumer = AIOKafkaConsumer(
        os.environ["PAYMENTS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        await Service(pool, consumer).run(stopping)
    finally:
        await consumer.stop()
        await pool.close()


asyncio.run(main())
