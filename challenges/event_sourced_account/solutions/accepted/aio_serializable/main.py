"""Accounts kept as events, in one event loop: aiokafka, asyncpg and a few lines of HTTP.

Every decision is a SERIALIZABLE transaction, which is run again when the database refuses it.
"""

import asyncio
import json
import os
import signal

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from accounts import Accounts
from web import respond

SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]


async def encode_json(db):
    await db.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def read_deposits(consumer, accounts):
    while True:
        for partition, records in (await consumer.getmany(timeout_ms=200)).items():
            for record in records:
                await accounts.deposit(json.loads(record.value))
            try:
                await consumer.commit({partition: records[-1].offset + 1})
            except (KafkaError, IllegalStateError) as error:
                print("not committed:", error)


async def publish(producer, accounts):
    """What this instance has to publish, also from its former life."""
    while True:
        for number, body in await accounts.unpublished():
            await producer.send_and_wait(
                os.environ["ACCOUNT_EVENTS_TOPIC"], json.dumps(body).encode(),
                key=body["account"].encode())
            await accounts.was_published(number)
        await accounts.wait_for_news()


async def main():
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    pool = await asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=1, max_size=6, init=encode_json)
    accounts = Accounts(pool, os.environ["INSTANCE_ID"])
    await accounts.prepare()
    consumer = AIOKafkaConsumer(
        os.environ["DEPOSITS_TOPIC"], bootstrap_servers=SERVERS, group_id=os.environ["GROUP_ID"],
        enable_auto_commit=False, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS, enable_idempotence=True)
    server = await asyncio.start_server(
        lambda reader, writer: respond(accounts, reader, writer), "127.0.0.1",
        int(os.environ["PORT"]))
    await consumer.start()
    await producer.start()
    works = [asyncio.create_task(read_deposits(consumer, accounts)),
             asyncio.create_task(publish(producer, accounts))]
    stop = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait([*works, stop], return_when=asyncio.FIRST_COMPLETED)
    server.close()
    for work in works:
        work.cancel()
    await consumer.stop()
    await producer.stop()
    for task in done:
        task.result()


asyncio.run(main())
