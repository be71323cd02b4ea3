"""Everything is one task. SIGTERM asks it to end, and cancels it when it has not after a while."""

import asyncio
import json
import os
import signal

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition

ENV = os.environ
GIVE_UP_S = 2.5
INSERT = "insert into invoices (order_id, customer, amount) values ($1, $2, $3)"


class Service(ConsumerRebalanceListener):
    def __init__(self, stopping):
        self.stopping = stopping
        self.done = {}
        self.in_hand = asyncio.Lock()
        self.assignment = 0  # counts: what was fetched before another one is not ours any more

    async def run(self):
        servers = ENV["KAFKA_BOOTSTRAP_SERVERS"]
        self.database = await asyncpg.connect(ENV["DATABASE_URL"])
        self.producer = AIOKafkaProducer(bootstrap_servers=servers)
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=servers, group_id=ENV["GROUP_ID"],
            client_id=ENV["INSTANCE_ID"], enable_auto_commit=False, auto_offset_reset="earliest")
        self.consumer.subscribe([ENV["ORDERS_TOPIC"]], listener=self)
        await self.producer.start()
        await self.consumer.start()
        try:
            await self.serve()
        finally:
            # A statement that was cancelled may still be done until the database has said so, which
            # this waits for: only then may others have the partitions.
            await self.database.close()
            await self.commit()
            await self.consumer.stop()
            await self.producer.stop()

    async def on_partitions_revoked(self, revoked):
        """The rebalance waits until the order in hand is done and what is done is committed."""
        async with self.in_hand:
            self.assignment += 1
            await self.commit()

    async def on_partitions_assigned(self, assigned):
        pass

    async def serve(self):
        while not self.stopping.is_set():
            batches = await self.consumer.getmany(timeout_ms=200, max_records=10)
            assignment = self.assignment
            for partition, records in batches.items():
                for record in records:
                    if not await self.take(partition, record, assignment):
                        break
            async with self.in_hand:
                await self.commit()

    async def take(self, partition, record, assignment):
        """Deal with a record, unless it is not ours any more or we were told to stop."""
        async with self.in_hand:
            if self.stopping.is_set() or assignment != self.assignment:
                return False
            await self.handle(json.loads(record.value))
            self.done[partition] = record.offset + 1
            return True

    async def handle(self, order):
        await self.database.execute(INSERT, order["id"], order["customer"], order["amount"])
        announcement = {"order": order["id"], "customer": order["customer"],
                        "amount": order["amount"]}
        await self.producer.send_and_wait(
            ENV["ANNOUNCEMENTS_TOPIC"], json.dumps(announcement).encode())

    async def commit(self):
        if self.done:
            await self.consumer.commit(
                {TopicPartition(*partition): offset for partition, offset in self.done.items()})
            self.done.clear()


async def main():
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    service = asyncio.create_task(Service(stopping).run())
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait([service, told], return_when=asyncio.FIRST_COMPLETED)
    if stopping.is_set():
        await asyncio.wait([service], timeout=GIVE_UP_S)
        service.cancel()
        await asyncio.wait([service], timeout=1.5)
        if service.done() and not service.cancelled() and service.exception():
            raise service.exception()
        os._exit(0)
    await service


asyncio.run(main())
