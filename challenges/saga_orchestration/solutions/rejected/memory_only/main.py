"""A coroutine for each order: it asks, waits for the reply, and goes on or back."""

import asyncio
import json
import os
import signal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
TOPICS = {
    "reserve": "STOCK_COMMANDS_TOPIC", "release": "STOCK_COMMANDS_TOPIC",
    "deduct": "STOCK_COMMANDS_TOPIC", "ship": "SHIPPING_COMMANDS_TOPIC",
    "charge": "PAYMENT_COMMANDS_TOPIC", "refund": "PAYMENT_COMMANDS_TOPIC",
}


class Saga:
    def __init__(self, order, producer):
        self.order, self.producer = order, producer
        self.replies = {}

    def id(self, action):
        return f"{self.order['id']}-{action}"

    async def ask(self, action, **fields):
        """Send a command until its reply is there; whether it was done."""
        command = {"id": self.id(action), "order": self.order["id"], "action": action, **fields}
        reply = self.replies[command["id"]] = asyncio.get_running_loop().create_future()
        while not reply.done():
            await self.send(TOPICS[action], command)
            await asyncio.wait([reply], timeout=2.5)
        return reply.result() == "done"

    async def send(self, topic, value):
        await self.producer.send_and_wait(
            os.environ[topic], json.dumps(value).encode(), self.order["id"].encode()
        )

    async def run(self):
        outcome = "completed" if await self.carry_out() else "cancelled"
        await self.send("ORDER_OUTCOMES_TOPIC", {"order": self.order["id"], "outcome": outcome})

    async def carry_out(self):
        goods = {"sku": self.order["sku"], "quantity": self.order["quantity"]}
        customer = self.order["customer"]
        if not await self.ask("reserve", **goods):
            return False
        if not await self.ask("charge", customer=customer, amount=self.order["amount"]):
            await self.ask("release", undoes=self.id("reserve"))
            return False
        if not await self.ask("ship", customer=customer):
            await self.ask("refund", undoes=self.id("charge"))
            await self.ask("release", undoes=self.id("reserve"))
            return False
        return await self.ask("deduct", **goods)

    def take(self, reply):
        waiting = self.replies.get(reply["command"])
        if waiting and not waiting.done() and reply["status"] != "unavailable":
            waiting.set_result(reply["status"])


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS)
    consumer = AIOKafkaConsumer(
        os.environ["ORDERS_TOPIC"], os.environ["REPLIES_TOPIC"], bootstrap_servers=SERVERS,
        group_id=os.environ["GROUP_ID"], enable_auto_commit=False, auto_offset_reset="earliest",
    )
    await producer.start()
    await consumer.start()
    sagas, tasks = {}, set()
    while not stop.is_set():
        batch = await consumer.getmany(timeout_ms=200)
        for message in (m for messages in batch.values() for m in messages):
            value = json.loads(message.value)
            if message.topic == os.environ["ORDERS_TOPIC"]:
                if value["id"] not in sagas:
                    sagas[value["id"]] = Saga(value, producer)
                    tasks.add(asyncio.create_task(sagas[value["id"]].run()))
            elif value["order"] in sagas:
                sagas[value["order"]].take(value)
        if batch:
            await consumer.commit()
    for task in tasks:
        task.cancel()
    await consumer.stop()
    await producer.stop()


asyncio.run(main())
