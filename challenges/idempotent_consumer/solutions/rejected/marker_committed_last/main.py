import asyncio
import json
import os
import signal

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError

from repository import LedgerRepository, ProcessedEventRepository


async def handle(event, ledger, processed):
    if await processed.contains(event["id"]):
        return
    await ledger.append(event)
    await processed.add(event["id"])


async def run(consumer, pool, stop):
    ledger, processed = LedgerRepository(pool), ProcessedEventRepository(pool)
    await processed.create()
    while not stop.is_set():
        batch = await consumer.getmany(timeout_ms=300)
        for partition, records in batch.items():
            for record in records:
                await handle(json.loads(record.value), ledger, processed)
                try:
                    await consumer.commit({partition: record.offset + 1})
                except (CommitFailedError, IllegalStateError):
                    break


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    consumer = AIOKafkaConsumer(
        os.environ["PAYMENTS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=2) as pool:
        await consumer.start()
        try:
            await run(consumer, pool, stop)
        finally:
            await consumer.stop()


asyncio.run(main())
