"""Batch by batch: the customers of a batch side by side, each customer's orders one by one.

The offsets are committed when the whole batch has its outcomes. An error of Kafka's ends the
program; the next life begins at the last commit.
"""

import asyncio
import json
import os
import signal
from collections import defaultdict

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import CommitFailedError, IllegalStateError

SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
TRANSIENT = {429, 503}


def checked(value):
    """The order; ValueError, KeyError, TypeError or RecursionError when there is none."""
    order = json.loads(value.decode())
    for name in ("id", "customer", "item"):
        if not (isinstance(order[name], str) and order[name]):
            raise ValueError(f"{name}: {order[name]!r}")
    if isinstance(order["quantity"], bool) or not isinstance(order["quantity"], int | float):
        raise ValueError("quantity is no number")
    if not 1 <= order["quantity"] <= 1000:
        raise ValueError("quantity is out of range")
    return order


class GivenUp(Exception):
    def __init__(self, why, attempts):
        super().__init__(why)
        self.attempts = attempts


async def ship(http, order):
    """Up to four attempts. Raises GivenUp."""
    body = {"order": order["id"], "customer": order["customer"],
            "item": order["item"], "quantity": order["quantity"]}
    for attempt in range(4):
        if attempt:
            await asyncio.sleep(0.22 * 2 ** (attempt - 1))
        try:
            async with asyncio.timeout(2):
                answer = await http.post("/shipments", json=body,
                                         headers={"Idempotency-Key": order["id"]})
        except (TimeoutError, httpx.HTTPError) as error:
            why = f"no answer: {error!r}"
            continue
        if answer.status_code < 300:
            return
        why = f"{answer.status_code}: {answer.text}"
        if answer.status_code not in TRANSIENT:
            raise GivenUp(why, attempt + 1)
    raise GivenUp(why, 4)


async def handle(http, producer, record):
    if record.value is None:
        return
    try:
        order = checked(record.value)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return await bury(producer, record, f"poison: {type(error).__name__}", 0)
    try:
        await ship(http, order)
    except GivenUp as error:
        await bury(producer, record, str(error), error.attempts)


async def bury(producer, record, why, attempts):
    origin = [("dlq.topic", record.topic), ("dlq.partition", str(record.partition)),
              ("dlq.offset", str(record.offset)), ("dlq.error", why),
              ("dlq.attempts", str(attempts))]
    await producer.send_and_wait(
        os.environ["DLQ_TOPIC"], key=record.key, value=record.value,
        headers=[*record.headers, *((name, text.encode()) for name, text in origin)])


async def handle_in_order(http, producer, records):
    for record in records:
        await handle(http, producer, record)


async def main():
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    consumer = AIOKafkaConsumer(
        os.environ["ORDERS_TOPIC"], bootstrap_servers=SERVERS, group_id=os.environ["GROUP_ID"],
        enable_auto_commit=False, auto_offset_reset="earliest")
    async with AIOKafkaProducer(bootstrap_servers=SERVERS, enable_idempotence=True) as producer, \
            httpx.AsyncClient(base_url=os.environ["SHIPPING_URL"], timeout=2) as http, consumer:
        while not stopping.is_set():
            batches = await consumer.getmany(timeout_ms=100, max_records=60)
            lines = defaultdict(list)
            for records in batches.values():
                for record in records:
                    lines[record.key].append(record)
            work = asyncio.gather(
                *(handle_in_order(http, producer, line) for line in lines.values()))
            stop = asyncio.ensure_future(stopping.wait())
            await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if not work.done():
                work.cancel()
                break
            work.result()
            if batches:
                try:
                    await consumer.commit({p: r[-1].offset + 1 for p, r in batches.items()})
                except (CommitFailedError, IllegalStateError):
                    print("lost partitions; their new owner will see the batch again")


asyncio.run(main())
