"""Books payments in batches: one set-based transaction for what a poll brought, then the offsets."""

import asyncio
import json
import logging
import os
import signal
from collections import Counter

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError, KafkaError

log = logging.getLogger("payments")


def first_by_id(records):
    events = [json.loads(record.value) for record in records]
    return {event["id"]: event for event in reversed(events)}


async def book(db, records):
    """Everything new among the records, in one transaction.

    Ids and accounts are locked in sorted order, so two instances cannot block each other.
    """
    events = first_by_id(records)
    async with db.transaction():
        fresh = await db.fetch(
            "insert into processed_events (event_id) select unnest($1::text[])"
            " on conflict do nothing returning event_id",
            sorted(events),
        )
        new = [events[row["event_id"]] for row in fresh]
        await db.executemany(
            "insert into ledger (event_id, account, amount) values ($1, $2, $3)",
            [(event["id"], event["account"], event["amount"]) for event in new],
        )
        sums = Counter()
        for event in new:
            sums[event["account"]] += event["amount"]
        await db.executemany(
            "insert into balances (account, balance) values ($1, $2)"
            " on conflict (account) do update set balance = balances.balance + excluded.balance",
            sorted(sums.items()),
        )


async def book_until_it_works(db, records):
    while True:
        try:
            return await book(db, records)
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
            log.warning("trying the batch again after: %s", error)


async def commit(consumer, batches):
    offsets = {partition: records[-1].offset + 1 for partition, records in batches.items()}
    try:
        await consumer.commit(offsets)
    except (KafkaError, IllegalStateError) as error:
        log.warning("not committed, the new owner will see them again: %s", error)


async def consume(consumer, db, stopping):
    while not stopping.is_set():
        batches = await consumer.getmany(timeout_ms=200, max_records=25)
        if batches:
            await book_until_it_works(db, [r for records in batches.values() for r in records])
            await commit(consumer, batches)


async def main():
    logging.basicConfig(level=logging.INFO)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    db = await asyncpg.connect(os.environ["DATABASE_URL"])
    await db.execute("create table if not exists processed_events (event_id text primary key)")
    consumer = AIOKafkaConsumer(
        os.environ["PAYMENTS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        client_id=os.environ["INSTANCE_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        await consume(consumer, db, stopping)
    finally:
        await consumer.stop()
        await db.close()


asyncio.run(main())
