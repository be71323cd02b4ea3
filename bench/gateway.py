"""The gateway against a direct connection: throughput of produce and consume, latency of a produce.

Goals: at least 3/4 of the direct throughput, at most 0.5 ms of added median latency.
Run: python bench/gateway.py
"""

import asyncio
import json
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from sandbox import broker as broker_module
from sandbox.broker import Broker
from sandbox.gateway import Gateway, Policy

RECORDS = 200_000
RECORD = b"x" * 1000
ROUND_TRIPS = 1000
ROUNDS = 4
TOPIC = "bench"
CLIENT_TIMEOUT = 120


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(CLIENTS[sys.argv[1]](sys.argv[2])))
        return
    asyncio.run(compare())


async def compare() -> None:
    """Print each measure: direct, through the gateway, and how they relate."""
    async with kafka() as addresses:
        for name in ("produce", "consume"):
            direct, gateway = await best(name, addresses, max)
            ratio = gateway / direct
            print(f"{name}: direct {direct:.0f} MB/s, gateway {gateway:.0f} MB/s, {ratio:.2f}")
        direct, gateway = await best("latency", addresses, min)
        added = gateway - direct
        print(f"latency: direct {direct:.2f} ms, gateway {gateway:.2f} ms, +{added:.2f} ms")


@asynccontextmanager
async def kafka() -> AsyncIterator[tuple[str, str]]:
    """A broker, by its own address and by that of a gateway in front of it."""
    door = socket.create_server(("127.0.0.1", 0))
    broker_module.APP_PORT = door.getsockname()[1]  # what the broker tells clients to connect to
    broker = await Broker.start()
    policy = Policy(read=frozenset({TOPIC}), write=frozenset({TOPIC}), groups=frozenset({"bench"}))
    gateway = Gateway(
        broker=broker.app_address, database=None, record=lambda kind, fields: None, policy=policy
    )
    try:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        await asyncio.to_thread(admin.create_topics([NewTopic(TOPIC, 3)])[TOPIC].result)
        await gateway.attach("bench", {9092: door})
        yield broker.bootstrap, f"127.0.0.1:{broker_module.APP_PORT}"
    finally:
        await gateway.close()
        await broker.stop()


async def best(
    name: str, addresses: tuple[str, str], choose: Callable[[list[float]], float]
) -> list[float]:
    """The best of several rounds for each address, taken by turns: the machine has other work."""
    rounds = [[await measure(name, address) for address in addresses] for _ in range(ROUNDS)]
    return [choose(list(measured)) for measured in zip(*rounds, strict=True)]


async def measure(name: str, address: str) -> float:
    """Run one client in a process of its own and return what it measured."""
    client = await asyncio.create_subprocess_exec(
        sys.executable, Path(__file__), name, address, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(client.communicate(), CLIENT_TIMEOUT)
    return json.loads(output)


def produce(address: str) -> float:
    """Megabytes per second."""
    producer = Producer({"bootstrap.servers": address, "linger.ms": 5, "acks": "all"})
    producer.list_topics(TOPIC)
    start = time.perf_counter()
    for _ in range(RECORDS):
        while True:
            try:
                producer.produce(TOPIC, RECORD)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()
    return RECORDS * len(RECORD) / 1e6 / (time.perf_counter() - start)


def consume(address: str) -> float:
    """Megabytes per second."""
    earliest = {"auto.offset.reset": "earliest"}  # the broker may have dropped the oldest by now
    consumer = Consumer({"bootstrap.servers": address, "group.id": "bench", **earliest})
    consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in range(3)])
    left = RECORDS - len(consumer.consume(1, CLIENT_TIMEOUT))
    start = time.perf_counter()
    while left > 0:
        records = consumer.consume(min(left, 10_000), CLIENT_TIMEOUT)
        assert records, "the broker sends nothing more"
        left -= len(records)
    return RECORDS * len(RECORD) / 1e6 / (time.perf_counter() - start)


def latency(address: str) -> float:
    """Median milliseconds from a record to its acknowledgement."""
    producer = Producer({"bootstrap.servers": address, "linger.ms": 0, "acks": "all"})
    producer.list_topics(TOPIC)
    times = []
    for _ in range(ROUND_TRIPS):
        start = time.perf_counter()
        producer.produce(TOPIC, b"x" * 100)
        producer.flush()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


CLIENTS = {"produce": produce, "consume": consume, "latency": latency}

if __name__ == "__main__":
    main()
