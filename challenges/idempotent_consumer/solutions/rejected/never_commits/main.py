import asyncio
import json
import os
import signal

import psycopg
from aiokafka import AIOKafkaConsumer


async def book(db, event):
    """Safe to call any number of times with the same event."""
    async with db.transaction():
        marker = await db.execute(
            "insert into processed_events values (%(id)s) on conflict do nothing", event)
        if marker.rowcount == 0:
            return
        await db.execute(
            "insert into ledger (event_id, account, amount)"
            " values (%(id)s, %(account)s, %(amount)s)", event)
        await db.execute(
            "insert into balances values (%(account)s, %(amount)s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance", event)


async def consume(db):
    consumer = AIOKafkaConsumer(
        os.environ["PAYMENTS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        async for record in consumer:
            await book(db, json.loads(record.value))


async def main():
    async with await psycopg.AsyncConnection.connect(
        os.environ["DATABASE_URL"], autocommit=True
    ) as db:
        await db.execute(
            "create table if not exists processed_events (event_id text primary key)")
        work = asyncio.create_task(consume(db))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            print("stopped")


asyncio.run(main())
