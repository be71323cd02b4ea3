"""Never cancels for silence: a command is repeated until its reply is there.

Ids are made from order and action, so nothing needs to be remembered to repeat a command. The state
is saved before the command is sent; whatever is not over is asked for again when it is due, and
right after a start.
"""

import asyncio
import json
import os
import signal
import sys

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

PATIENCE = "2.5 seconds"
FORWARD = ["reserve", "charge", "ship", "deduct"]
UNDO = {"charge": "refund", "reserve": "release"}
TOPIC = {
    "reserve": "STOCK", "release": "STOCK", "deduct": "STOCK",
    "charge": "PAYMENT", "refund": "PAYMENT",
    "ship": "SHIPPING",
}

TABLE = """
    create table if not exists saga (
        id       text primary key,
        customer text not null,
        sku      text not null,
        quantity int not null,
        amount   int not null,
        waits    text not null,      -- for this action, or to be told as completed or cancelled
        due      timestamptz,        -- null when it is over
        version  int not null default 0
    )
"""


def topic(name):
    return os.environ[name + "_TOPIC"]


def undo_from(index):
    """What must be undone first when the steps before `index` were done."""
    done = [UNDO[step] for step in FORWARD[:index] if step in UNDO]
    return done[-1] if done else "cancelled"


def following(action, status):
    if status == "refused":
        return undo_from(FORWARD.index(action))
    if action == "refund":
        return "release"
    if action == "release":
        return "cancelled"
    return [*FORWARD, "completed"][FORWARD.index(action) + 1]


def record(order, action):
    if action in ("completed", "cancelled"):
        return topic("ORDER_OUTCOMES"), {"order": order["id"], "outcome": action}
    value = {"id": f"{order['id']}/{action}", "order": order["id"], "action": action}
    if action in ("refund", "release"):
        undone = next(step for step, undo in UNDO.items() if undo == action)
        value["undoes"] = f"{order['id']}/{undone}"
    elif action in ("reserve", "deduct"):
        value |= {"sku": order["sku"], "quantity": order["quantity"]}
    elif action == "charge":
        value |= {"customer": order["customer"], "amount": order["amount"]}
    else:
        value |= {"customer": order["customer"]}
    return topic(f"{TOPIC[action]}_COMMANDS"), value


class Orchestrator:
    def __init__(self, pool, producer):
        self.pool, self.producer = pool, producer

    async def take_order(self, order):
        new = await self.pool.fetchval(
            "insert into saga values"
            f" ($1, $2, $3, $4, $5, 'reserve', now() + interval '{PATIENCE}')"
            " on conflict do nothing returning id",
            order["id"], order["customer"], order["sku"], order["quantity"], order["amount"],
        )
        if new:
            await self.ask(order["id"])

    async def take_reply(self, reply):
        action, status = reply["action"], reply["status"]
        if reply["command"] != f"{reply['order']}/{action}" or status == "unavailable":
            return
        moved = await self.pool.fetchval(
            f"update saga set waits = $3, version = version + 1, due = now() + interval '{PATIENCE}'"
            " where id = $1 and waits = $2 returning id",
            reply["order"], action, following(action, status),
        )
        if moved:
            await self.ask(reply["order"])

    async def ask(self, id):
        """Send what the saga waits for; an outcome is over when it is written."""
        saga = await self.pool.fetchrow(
            "select * from saga where id = $1 and due is not null", id
        )
        if saga is None:
            return
        waits, version = saga["waits"], saga["version"]
        where, value = record(saga, waits)
        await self.producer.send_and_wait(where, json.dumps(value).encode(), id.encode())
        if waits in ("completed", "cancelled"):
            await self.pool.execute(
                "update saga set due = null where id = $1 and version = $2", id, version
            )

    async def repeat(self):
        while True:
            ids = await self.pool.fetch(
                f"update saga set due = now() + interval '{PATIENCE}' where id in (select id from saga"
                " where due < now() limit 100 for update skip locked) returning id"
            )
            for row in ids:
                await self.ask(row["id"])
            await asyncio.sleep(0.25)

    async def read(self, consumer):
        async for message in consumer:
            value = json.loads(message.value)
            if message.topic == topic("ORDERS"):
                await self.take_order(value)
            else:
                await self.take_reply(value)
            place = TopicPartition(message.topic, message.partition)
            try:
                await consumer.commit({place: message.offset + 1})
            except Exception as error:
                print("the partition is another's now:", error, file=sys.stderr)


async def main():
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=4)
    try:
        await pool.execute(TABLE)
    except asyncpg.UniqueViolationError:
        pass  # another instance was faster
    broker = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    producer = AIOKafkaProducer(bootstrap_servers=broker, enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        topic("ORDERS"), topic("REPLIES"),
        bootstrap_servers=broker,
        group_id=os.environ["GROUP_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await producer.start()
    await consumer.start()
    orchestrator = Orchestrator(pool, producer)
    tasks = [
        asyncio.create_task(orchestrator.read(consumer)),
        asyncio.create_task(orchestrator.repeat()),
    ]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await consumer.stop()
    await producer.stop()
    for task in done - {waiting}:
        task.result()


asyncio.run(main())
