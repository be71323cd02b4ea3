import asyncio
import json
import os
import signal

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError

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


async def book(db, event):
    await db.execute(BOOK, event["id"], event["account"], event["amount"])


async def consume(consumer, db):
    async for record in consumer:
        await book(db, json.loads(record.value))
        try:
            await consumer.commit()
        except (CommitFailedError, IllegalStateError) as error:
            print("rebalanced:", error)


async def main():
    db = await asyncpg.connect(os.environ["DATABASE_URL"])
    await db.execute("create table if not exists processed_events (event_id text primary key)")
    consumer = AIOKafkaConsumer(
        os.environ["PAYMENTS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        enable_auto_commit=False,
    )
    await consumer.start()
    work = asyncio.create_task(consume(consumer, db))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        print("stopping")
    finally:
        await consumer.stop()


asyncio.run(main())
