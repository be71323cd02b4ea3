"""Two slots of tables, of which one answers; asyncio from end to end.

Positions lie beside the rows and say what is in them; Kafka's offsets say where to go on. Each
customer has a row with its sums, whether it is announced or not. A rebuild empties the other slot and
fills it; a pointer says which slot answers. Which events
were reviewed is remembered apart from both.
"""

import asyncio
import json
import os
import re
import signal
from urllib.parse import parse_qs, urlsplit

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

CUSTOMERS, ORDERS = os.environ["CUSTOMERS_TOPIC"], os.environ["ORDERS_TOPIC"]
LANES = {TopicPartition(CUSTOMERS, p): f"customers-{p}" for p in range(2)} | {
    TopicPartition(ORDERS, p): f"orders-{p}" for p in range(3)}
SLOT = """
    create table if not exists positions_{0} (lane text primary key, next_offset bigint not null);
    create table if not exists customers_{0} (
        customer text primary key, name text, orders bigint not null default 0,
        cents bigint not null default 0);
    create table if not exists orders_{0} (
        id text primary key, customer text not null, cents bigint not null);
"""
POINTER = """
    create table if not exists reviewed (event_id text primary key);
    create table if not exists pointer (slot text not null, generation int not null);
    insert into pointer select 'a', 1 where not exists (select from pointer);
"""
ADD = """
    insert into customers_{0} (customer, orders, cents) values ($1, $2, $3)
    on conflict (customer) do update
    set orders = customers_{0}.orders + excluded.orders, cents = customers_{0}.cents + excluded.cents
"""
NAME = """
    insert into customers_{0} (customer, name) values ($1, $2)
    on conflict (customer) do update set name = excluded.name
"""


class View:
    """One slot, written through one connection in a transaction that the caller began."""

    def __init__(self, db, slot):
        self.db = db
        self.slot = slot

    async def do(self, sql, *values):
        return await self.db.execute(sql.format(self.slot), *values)

    async def positions(self):
        rows = await self.db.fetch("select * from positions_{0}".format(self.slot))
        return {row["lane"]: row["next_offset"] for row in rows}

    async def clear(self):
        await self.do("truncate positions_{0}, customers_{0}, orders_{0}")

    async def take_up(self, record):
        lane = LANES[TopicPartition(record.topic, record.partition)]
        known = await self.db.fetchval(
            "select next_offset from positions_{0} where lane = $1".format(self.slot), lane)
        if record.offset < (known or 0):
            return
        await self.do("insert into positions_{0} values ($1, $2) on conflict (lane)"
                      " do update set next_offset = excluded.next_offset", lane, record.offset + 1)
        if record.topic == CUSTOMERS:
            name = json.loads(record.value)["name"] if record.value is not None else None
            await self.do(NAME, record.key.decode(), name)
        else:
            await self.order(json.loads(record.value))

    async def order(self, event):
        if event["type"] == "placed":
            await self.do("insert into orders_{0} values ($1, $2, $3)",
                          event["order"], event["customer"], event["cents"])
            await self.do(ADD, event["customer"], 1, event["cents"])
            return
        row = await self.db.fetchrow(
            "select * from orders_{0} where id = $1".format(self.slot), event["order"])
        if event["type"] == "changed":
            await self.do("update orders_{0} set cents = cents + $2 where id = $1",
                          event["order"], event["cents"])
            await self.do(ADD, row["customer"], 0, event["cents"])
        else:
            await self.do("delete from orders_{0} where id = $1", event["order"])
            await self.do(ADD, row["customer"], -1, -row["cents"])


async def review(db, record):
    """Ask for a review, once; the events that were reviewed are remembered."""
    event = json.loads(record.value) if record.topic == ORDERS else {}
    if event.get("type") != "placed" or event["cents"] < 100_000:
        return
    done = await db.execute(
        "insert into reviewed values ($1) on conflict do nothing", event["id"])
    if done == "INSERT 0 1":
        await db.execute("insert into reviews (event_id, order_id, cents) values ($1, $2, $3)",
                         event["id"], event["order"], event["cents"])


class Service:
    def __init__(self, pool):
        self.pool = pool
        self.rebuild = None
        self.live = AIOKafkaConsumer(group_id=os.environ["GROUP_ID"], **self.settings())

    @staticmethod
    def settings():
        return {
            "bootstrap_servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "client_id": os.environ["INSTANCE_ID"],
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "isolation_level": "read_committed",
        }

    async def keep_up(self):
        await self.live.start()
        self.live.subscribe([CUSTOMERS, ORDERS])
        while True:
            found = await self.live.getmany(timeout_ms=500, max_records=20)
            records = [record for some in found.values() for record in some]
            if not records:
                continue
            await self.apply(records)
            try:
                await self.live.commit({
                    lane: some[-1].offset + 1 for lane, some in found.items() if some})
            except KafkaError as error:
                print("not committed:", error, flush=True)

    async def apply(self, records):
        async with self.pool.acquire() as db:
            while True:
                try:
                    async with db.transaction():
                        slot = await db.fetchval("select slot from pointer for share")
                        view = View(db, slot)
                        for record in records:
                            await view.take_up(record)
                            await review(db, record)
                    return
                except asyncpg.SerializationError as error:
                    print("again:", error, flush=True)

    async def begin_rebuild(self):
        async with self.pool.acquire() as db:
            slot, generation = await db.fetchrow("select * from pointer")
            other = "b" if slot == "a" else "a"
            await View(db, other).clear()
        self.rebuild = asyncio.create_task(self.fill(other, generation + 1))
        return generation + 1

    async def fill(self, slot, generation):
        consumer = AIOKafkaConsumer(**self.settings())
        await consumer.start()
        consumer.assign(list(LANES))
        await consumer.seek_to_beginning()
        while True:
            found = await consumer.getmany(timeout_ms=200)
            async with self.pool.acquire() as db:
                async with db.transaction():
                    for some in found.values():
                        for record in some:
                            await View(db, slot).take_up(record)
                if await self.change_over(db, slot, generation):
                    break
        await consumer.stop()

    @staticmethod
    async def change_over(db, slot, generation):
        async with db.transaction():
            old = await db.fetchval("select slot from pointer for update")
            has = await View(db, slot).positions()
            wants = await View(db, old).positions()
            if any(has.get(lane, 0) < position for lane, position in wants.items()):
                return False
            await db.execute("update pointer set slot = $1, generation = $2", slot, generation)
            return True

    async def row(self, customer):
        async with self.pool.acquire() as db, db.transaction(
            isolation="repeatable_read", readonly=True
        ):
            slot, generation = await db.fetchrow("select * from pointer")
            told = {"as_of": await View(db, slot).positions(), "generation": generation}
            row = await db.fetchrow(
                "select * from customers_{0} where customer = $1".format(slot), customer)
        if row is None or row["name"] is None:
            return 404, told
        return 200, told | {"customer": customer, "name": row["name"],
                            "open_orders": row["orders"], "total_cents": row["cents"]}

    async def answer(self, method, target):
        url = urlsplit(target)
        if method == "POST":
            return 202, {"generation": await self.begin_rebuild()}
        if match := re.fullmatch("/generations/([0-9]+)", url.path):
            now = await self.pool.fetchval("select generation from pointer")
            return (200 if now >= int(match[1]) else 503), {"generation": now}
        after = parse_qs(url.query).get("after", ["customers-0@-1"])[0]
        lane, offset = after.split("@")
        for _ in range(25):
            status, told = await self.row(url.path.removeprefix("/customers/"))
            if told["as_of"].get(lane, 0) > int(offset):
                return status, told
            await asyncio.sleep(0.1)
        return 503, {"error": "not yet"}

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split(" ", 2)
            status, told = await self.answer(method, target)
            content = json.dumps(told).encode()
            writer.write(
                f"HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nConnection: close\r\n"
                f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def main():
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=8)
    await pool.execute(SLOT.format("a") + SLOT.format("b") + POINTER)
    service = Service(pool)
    await asyncio.start_server(service.serve, "0.0.0.0", int(os.environ["PORT"]))
    work = asyncio.create_task(service.keep_up())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        await service.live.stop()
        os._exit(0)


asyncio.run(main())
