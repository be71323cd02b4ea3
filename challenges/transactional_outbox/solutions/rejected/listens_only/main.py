"""Two tasks on one loop: one carries out commands, the other publishes when it is notified.
Of several instances the one with the session's advisory lock publishes. Any error ends the process,
which is started again.
"""

import asyncio
import json
import os
import signal
import uuid

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

BROKER = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
EVENTS = os.environ["EVENTS_TOPIC"]
NAMESPACE = uuid.UUID("5a1d7c60-3f0c-4a40-9a3a-6d1d5a6f2b11")
RELAY_LOCK = 815


async def prepare(database):
    async with database.transaction():
        await database.execute("select pg_advisory_xact_lock(1)")
        await database.execute("create table if not exists inbox (command_id text primary key)")


async def carry_out(database, command):
    while True:
        try:
            async with database.transaction():
                return await carry_out_once(database, command)
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
            print(command["id"], "is tried again:", error, flush=True)


async def carry_out_once(database, command):
    fresh = await database.fetchval(
        "insert into inbox values ($1) on conflict do nothing returning 1", command["id"])
    if not fresh:
        return
    version = await database.fetchval(
        "insert into bookings (booking, version, seats) values ($1, 1, $2)"
        " on conflict (booking) do update"
        " set version = bookings.version + 1, seats = excluded.seats returning version",
        command["booking"], command["seats"])
    await database.execute(
        "insert into outbox (change_id, booking, version, seats) values ($1, $2, $3, $4)",
        command["id"], command["booking"], version, command["seats"])


async def consume():
    database = await asyncpg.connect(os.environ["DATABASE_URL"])
    await prepare(database)
    consumer = AIOKafkaConsumer(
        os.environ["COMMANDS_TOPIC"], bootstrap_servers=BROKER, group_id=os.environ["GROUP_ID"],
        client_id=os.environ["INSTANCE_ID"], enable_auto_commit=False,
        auto_offset_reset="earliest")
    await consumer.start()
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=500, max_records=50)
            for partition, messages in batches.items():
                for message in messages:
                    await carry_out(database, json.loads(message.value))
                await commit(consumer, partition, messages[-1].offset + 1)
    finally:
        await consumer.stop()


async def commit(consumer, partition, offset):
    try:
        await consumer.commit({partition: offset})
    except Exception as error:
        print("not committed, the commands will come again:", error, flush=True)


class Relay:
    def __init__(self, database, producer):
        self.database, self.producer = database, producer
        self.news = asyncio.Event()

    async def run(self):
        await self.database.add_listener("outbox", lambda *_: self.news.set())
        while not await self.database.fetchval("select pg_try_advisory_lock($1)", RELAY_LOCK):
            await asyncio.sleep(0.3)
        while True:
            while await self.publish():
                pass
            try:
                await self.news.wait()
            except asyncio.TimeoutError:
                pass
            self.news.clear()

    async def publish(self):
        rows = await self.database.fetch(
            "select id, booking, version, seats from outbox where not published"
            " order by version, booking limit 200")
        written = [await self.producer.send(EVENTS, value(row), row["booking"].encode())
                   for row in rows]
        await asyncio.gather(*written)
        await self.mark([row["id"] for row in rows])
        return rows

    async def mark(self, ids):
        while True:
            try:
                return await self.database.execute(
                    "update outbox set published = true where id = any($1)", ids)
            except asyncpg.SerializationError as error:
                print("marked again:", error, flush=True)


def value(row):
    return json.dumps({
        "event_id": str(uuid.uuid5(NAMESPACE, f"{row['booking']}/{row['version']}")),
        "booking": row["booking"],
        "version": row["version"],
        "seats": row["seats"],
    }).encode()


async def relay():
    database = await asyncpg.connect(os.environ["DATABASE_URL"])
    producer = AIOKafkaProducer(bootstrap_servers=BROKER, enable_idempotence=True)
    await producer.start()
    await Relay(database, producer).run()


async def main():
    tasks = {asyncio.create_task(consume()), asyncio.create_task(relay())}
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    stopping = asyncio.create_task(stopped.wait())
    done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stopping not in done:
        for task in done:
            print("ends after", repr(task.exception()), flush=True)
        os._exit(1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=3)


asyncio.run(main())
