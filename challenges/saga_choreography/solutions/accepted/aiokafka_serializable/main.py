"""Stock or shipping, in batches: what a poll brought is dealt with in one SERIALIZABLE transaction,
which also writes the outbox; a second task publishes it. An announcement's id follows from the order
and the step, so nothing can be announced under two ids."""

import asyncio
import json
import logging
import os
import signal
import uuid

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import IllegalStateError, KafkaError

SERVICE = os.environ["SERVICE"]
TOPIC = os.environ["STOCK_EVENTS_TOPIC" if SERVICE == "stock" else "SHIPMENTS_TOPIC"]
READS = {
    "stock": ("ORDERS_TOPIC", "SHIPMENTS_TOPIC"),
    "shipping": ("ORDERS_TOPIC", "PAYMENTS_TOPIC", "STOCK_EVENTS_TOPIC"),
}[SERVICE]
log = logging.getLogger(SERVICE)
COLLISIONS = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
)


async def prepare(db):
    async with db.transaction():
        await db.execute("select pg_advisory_xact_lock(99)")
        await db.execute(
            f"create table if not exists {SERVICE}_facts"
            " (order_id text, type text, event text not null, primary key (order_id, type));"
            f"create table if not exists {SERVICE}_outbox"
            " (id text primary key, seq bigserial, key text not null, value text not null,"
            " sent boolean not null default false)"
        )


async def facts_of(db, order_id):
    rows = await db.fetch(
        f"select type, event from {SERVICE}_facts where order_id = $1", order_id
    )
    return {row["type"]: json.loads(row["event"]) for row in rows}


async def note(db, event):
    """Remember an event of an order; whether it is the first of its type."""
    done = await db.execute(
        f"insert into {SERVICE}_facts values ($1, $2, $3) on conflict do nothing",
        event["order_id"],
        event["type"],
        json.dumps(event),
    )
    return done.endswith(" 1")


async def announce(db, type, step, cause):
    event = {
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{cause['order_id']} {step}")),
        "type": type,
        "order_id": cause["order_id"],
        "correlation_id": cause["correlation_id"],
        "causation_id": cause["event_id"],
    }
    await note(db, event)
    await db.execute(
        f"insert into {SERVICE}_outbox (id, key, value) values ($1, $2, $3)",
        event["event_id"],
        event["order_id"],
        json.dumps(event),
    )


async def stock(db, event):
    if event["type"] not in ("OrderPlaced", "OrderFailed") or not await note(db, event):
        return
    facts = await facts_of(db, event["order_id"])
    if event["type"] == "OrderPlaced":
        await reserve(db, event, "OrderFailed" not in facts)
    elif "StockReserved" in facts:
        placed = facts["OrderPlaced"]
        await move(db, "releases", placed, placed["quantity"])
        await announce(db, "StockReleased", "release", event)


async def reserve(db, order, is_alive):
    left = await db.fetchval(
        "select available from stock where product = $1 for update", order["product"]
    )
    if is_alive and left >= order["quantity"]:
        await move(db, "reservations", order, -order["quantity"])
        await announce(db, "StockReserved", "reservation", order)
    else:
        await announce(db, "StockRejected", "reservation", order)


async def move(db, table, order, change):
    await db.execute(
        "update stock set available = available + $2 where product = $1", order["product"], change
    )
    await db.execute(
        f"insert into {table} (order_id, product, quantity) values ($1, $2, $3)",
        order["order_id"],
        order["product"],
        order["quantity"],
    )


GOOD = ("OrderPlaced", "StockReserved", "PaymentCaptured")
BAD = ("StockRejected", "PaymentDeclined", "OrderCancelled")


async def shipping(db, event):
    if event["type"] not in (*GOOD, *BAD) or not await note(db, event):
        return
    facts = await facts_of(db, event["order_id"])
    if "OrderShipped" in facts or "OrderFailed" in facts:
        return
    if event["type"] in BAD:
        await announce(db, "OrderFailed", "decision", event)
    elif all(type in facts for type in GOOD):
        order = facts["OrderPlaced"]
        await db.execute(
            "insert into deliveries (order_id, product, quantity, address)"
            " values ($1, $2, $3, $4)",
            order["order_id"],
            order["product"],
            order["quantity"],
            order["address"],
        )
        cause = facts["PaymentCaptured"] if event["type"] == "OrderPlaced" else event
        await announce(db, "OrderShipped", "decision", cause)


async def deal_with(db, events):
    handle = stock if SERVICE == "stock" else shipping
    while True:
        try:
            async with db.transaction(isolation="serializable"):
                for event in events:
                    await handle(db, event)
            return
        except COLLISIONS as error:
            log.info("again, after: %s", error)


async def publish(db, producer, news):
    while True:
        try:
            await asyncio.wait_for(news.wait(), 0.3)
        except TimeoutError:
            pass
        news.clear()
        async with db.transaction():
            rows = await db.fetch(
                f"select id, key, value from {SERVICE}_outbox where not sent order by seq"
                " for update skip locked"
            )
            for row in rows:
                await producer.send_and_wait(TOPIC, row["value"].encode(), row["key"].encode())
            await db.execute(
                f"update {SERVICE}_outbox set sent = true where id = any($1)",
                [row["id"] for row in rows],
            )


async def consume(consumer, db, news, stopping):
    while not stopping.is_set():
        batches = await consumer.getmany(timeout_ms=200, max_records=50)
        if not batches:
            continue
        await deal_with(db, [json.loads(r.value) for records in batches.values() for r in records])
        news.set()
        try:
            await consumer.commit({lane: rs[-1].offset + 1 for lane, rs in batches.items()})
        except (KafkaError, IllegalStateError) as error:
            log.info("not committed, they will come again: %s", error)


async def main():
    stopping, news = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    db = await asyncpg.connect(os.environ["DATABASE_URL"])
    await prepare(db)
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        *(os.environ[name] for name in READS),
        bootstrap_servers=servers,
        group_id=os.environ["GROUP_ID"],
        client_id=os.environ["INSTANCE_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await producer.start()
    await consumer.start()
    relay = asyncio.create_task(
        publish(await asyncpg.connect(os.environ["DATABASE_URL"]), producer, news)
    )
    work = asyncio.create_task(consume(consumer, db, news, stopping))
    done, _ = await asyncio.wait({relay, work}, return_when=asyncio.FIRST_COMPLETED)
    relay.cancel()
    await consumer.stop()
    await producer.stop()
    for task in done:
        task.result()


asyncio.run(main())
