"""One task for each customer with open orders; offsets are committed up to the first open record."""

import asyncio
import json
import logging
import os
import signal
from collections import deque

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

log = logging.getLogger("orders")
ENV = os.environ
PAUSES = [0.25, 0.5, 1.0]


class NotAnOrder(Exception):
    pass


def read_order(value):
    try:
        order = json.loads(str(value, "utf-8"))
        order = {name: order[name] for name in ("id", "customer", "item", "quantity")}
    except Exception as error:  # whatever the bytes do to the parser
        raise NotAnOrder(f"{type(error).__name__}: {str(error)[:200]}") from None
    texts = [order["id"], order["customer"], order["item"]]
    if not all(isinstance(text, str) and text for text in texts):
        raise NotAnOrder("a text is missing")
    if type(order["quantity"]) is not int or not 0 < order["quantity"] <= 1000:
        raise NotAnOrder(f"quantity {order['quantity']!r}")
    return order


class Partition:
    """Open offsets of one partition, in order."""

    def __init__(self):
        self.open = deque()
        self.done = set()

    def reached(self):
        last = None
        while self.open and self.open[0] in self.done:
            last = self.open.popleft()
            self.done.discard(last)
        return None if last is None else last + 1


class Shop(ConsumerRebalanceListener):
    def __init__(self):
        self.partitions = {}
        self.queues = {}
        self.failure = None
        self.http = httpx.AsyncClient(base_url=ENV["SHIPPING_URL"], timeout=httpx.Timeout(2.5))
        servers = ENV["KAFKA_BOOTSTRAP_SERVERS"]
        self.producer = AIOKafkaProducer(bootstrap_servers=servers)
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=servers, group_id=ENV["GROUP_ID"], client_id=ENV["INSTANCE_ID"],
            enable_auto_commit=False, auto_offset_reset="earliest")
        self.consumer.subscribe([ENV["ORDERS_TOPIC"]], listener=self)

    async def on_partitions_revoked(self, revoked):
        await self.commit()
        self.partitions.clear()

    async def on_partitions_assigned(self, assigned):
        pass

    def accept(self, record):
        partition = self.partitions.setdefault(record.partition, Partition())
        partition.open.append(record.offset)
        queue = self.queues.get(record.key)
        if queue is None:
            queue = self.queues[record.key] = deque()
            task = asyncio.create_task(self.work(record.key, queue))
            task.add_done_callback(self.worked)
        queue.append((partition, record))

    def worked(self, task):
        if not task.cancelled() and task.exception():
            self.failure = task.exception()

    async def work(self, key, queue):
        while queue:
            partition, record = queue[0]
            await self.deal_with(record)
            partition.done.add(record.offset)
            queue.popleft()
        del self.queues[key]

    async def deal_with(self, record):
        if record.value is None:
            return
        try:
            order = read_order(record.value)
        except NotAnOrder as error:
            return await (await self.bury(record, f"not an order: {error}", 0))
        for attempt in range(1, 5):
            done, reason = await self.ask(order)
            if done:
                return
            if done is None:
                return await self.bury(record, reason, attempt)
            if attempt <= len(PAUSES):
                await asyncio.sleep(PAUSES[attempt - 1])
        await self.bury(record, f"given up: {reason}", 4)

    async def ask(self, order):
        """True when shipped, False when it may work later, None when never; and why."""
        body = {"order": order["id"], **{k: order[k] for k in ("customer", "item", "quantity")}}
        try:
            answer = await self.http.post(
                "/shipments", json=body, headers={"Idempotency-Key": order["id"]})
        except httpx.HTTPError as error:
            return False, repr(error)
        if answer.is_success:
            return True, ""
        return (False if answer.status_code in (429, 503) else None), f"HTTP {answer.status_code}"

    async def bury(self, record, reason, attempts):
        added = {"topic": record.topic, "partition": record.partition, "offset": record.offset,
                 "error": reason, "attempts": attempts}
        headers = list(record.headers) + [(f"dlq.{k}", str(v).encode()) for k, v in added.items()]
        log.info("%s@%s: %s", record.partition, record.offset, reason)
        return await self.producer.send(
            ENV["DLQ_TOPIC"], record.value, record.key, headers=headers)

    async def commit(self):
        found = {TopicPartition(ENV["ORDERS_TOPIC"], p): offset
                 for p, partition in self.partitions.items()
                 if (offset := partition.reached()) is not None}
        if found:
            try:
                await self.consumer.commit(found)
            except (KafkaError, IllegalStateError) as error:
                log.warning("not committed: %s", error)

    async def run(self, stopping):
        await self.producer.start()
        await self.consumer.start()
        try:
            while not stopping.is_set() and not self.failure:
                batches = await self.consumer.getmany(timeout_ms=50, max_records=100)
                for records in batches.values():
                    for record in records:
                        self.accept(record)
                await self.commit()
        finally:
            await self.consumer.stop()
        if self.failure:
            raise self.failure


async def main():
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await Shop().run(stopping)


asyncio.run(main())
