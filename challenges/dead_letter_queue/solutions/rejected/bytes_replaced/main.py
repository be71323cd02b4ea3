import asyncio
import json
import os
import signal
from collections import defaultdict

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import CommitFailedError, IllegalStateError

SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
DLQ = os.environ["DLQ_TOPIC"]
PAUSES = (0.25, 0.5, 1.0)


class Refused(Exception):
    pass


class Failed(Exception):
    pass


def parse(value):
    order = json.loads(value.decode(errors="replace"))
    if not all(isinstance(order[k], str) and order[k] for k in ("id", "customer", "item")):
        raise ValueError("a text is missing")
    if type(order["quantity"]) is not int or not 1 <= order["quantity"] <= 1000:
        raise ValueError("a bad quantity")
    return order


async def ask(http, order):
    body = {"order": order["id"], "customer": order["customer"],
            "item": order["item"], "quantity": order["quantity"]}
    try:
        answer = await http.post("/shipments", json=body, headers={"Idempotency-Key": order["id"]})
    except httpx.TransportError as error:
        raise Failed(repr(error)) from error
    if answer.status_code in (429, 503):
        raise Failed(str(answer.status_code))
    if answer.status_code >= 400:
        raise Refused(f"{answer.status_code} {answer.text}")


async def ship(http, order):
    """Ask up to four times; the error of the last attempt, and how many there were."""
    for attempt, wait in enumerate((*PAUSES, None), 1):
        try:
            await ask(http, order)
            return None, attempt
        except Refused as error:
            return error, attempt
        except Failed as error:
            if wait is None:
                return error, attempt
            await asyncio.sleep(wait)


async def handle(http, producer, record):
    if record.value is None:
        return
    try:
        order = parse(record.value)
    except Exception as error:
        await bury(producer, record, repr(error)[:200], 0)
        return
    error, attempts = await ship(http, order)
    if error:
        await bury(producer, record, str(error), attempts)


async def bury(producer, record, why, attempts):
    headers = list(record.headers)
    headers.append(("dlq.topic", record.topic.encode()))
    headers.append(("dlq.partition", b"%d" % record.partition))
    headers.append(("dlq.offset", b"%d" % record.offset))
    headers.append(("dlq.error", why.encode()))
    headers.append(("dlq.attempts", b"%d" % attempts))
    await producer.send_and_wait(DLQ, record.value, key=record.key, headers=headers)


async def handle_in_order(http, producer, records):
    for record in records:
        await handle(http, producer, record)


async def handle_batch(http, producer, records):
    lines = defaultdict(list)
    for record in records:
        lines[record.key].append(record)
    await asyncio.gather(*(handle_in_order(http, producer, line) for line in lines.values()))


async def consume(consumer, producer, http):
    while True:
        batches = await consumer.getmany(timeout_ms=100, max_records=100)
        if batches:
            await handle_batch(http, producer, [r for rs in batches.values() for r in rs])
            try:
                await consumer.commit({p: rs[-1].offset + 1 for p, rs in batches.items()})
            except (CommitFailedError, IllegalStateError) as error:
                print("not committed:", error)


async def main():
    consumer = AIOKafkaConsumer(
        os.environ["ORDERS_TOPIC"],
        bootstrap_servers=SERVERS,
        group_id=os.environ["GROUP_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    http = httpx.AsyncClient(base_url=os.environ["SHIPPING_URL"], timeout=2)
    async with consumer, AIOKafkaProducer(bootstrap_servers=SERVERS) as producer, http:
        work = asyncio.create_task(consume(consumer, producer, http))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            print("stopped")


asyncio.run(main())
