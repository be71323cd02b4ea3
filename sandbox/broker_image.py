"""Makes the image that brokers start from: their data folder and their AOT cache.

Formatting a data folder, and creating the two internal topics on first use, cost a second each; so
one broker does both, stops cleanly, and its folder is copied from then on. A second broker runs the
usual work of a client once while the JVM records which classes it loads.
"""

import asyncio
import base64
import shutil
import time
import uuid
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from sandbox.broker import Broker, configure, java
from sandbox.daemon import free_ports
from sandbox.process import SandboxError, Scratch, give_to_service, spawn

CLIENT_TIMEOUT = 60.0  # seconds for each step of the training client, on a busy machine
AOT_TIMEOUT = 180.0


async def make_image(target: Path) -> None:
    """Fill `target` with data/ and kafka.aot; SandboxError when a step fails."""
    await _make_data(target / "data")
    await _make_aot_cache(target / "data", target / "kafka.aot")


async def _make_data(target: Path) -> None:
    formatted = Scratch.create("format")
    try:
        await _format(formatted)
        broker = await Broker.start_from(formatted.path / "data")
    finally:
        formatted.remove()
    try:
        await asyncio.to_thread(_use_internal_topics, broker.bootstrap)
        await broker.terminate()
        shutil.copytree(broker.data, target, copy_function=shutil.copyfile)
    finally:
        await broker.kill()


async def _format(scratch: Scratch) -> None:
    empty = scratch.path / "empty"
    empty.mkdir()
    settings = configure(scratch, empty, *free_ports(3))
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [*java(), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", settings]
    with (scratch.path / "log").open("wb") as log:
        process = await spawn(command, env={"LC_ALL": "C.UTF-8"}, output=log)
    scratch.adopt(process.pid)
    if await process.wait() != 0:
        words = (scratch.path / "log").read_text(errors="replace")[-2000:]
        raise SandboxError(f"Kafka could not format its data folder: {words}")


async def _make_aot_cache(data: Path, target: Path) -> None:
    place = give_to_service(target.with_name("training"), mode=0o755)
    broker = await Broker.start_from(data, f"-XX:AOTCacheOutput={place / target.name}")
    try:
        await asyncio.to_thread(_usual_work, broker.bootstrap)
        await broker.terminate(within=AOT_TIMEOUT)  # the JVM writes the cache as it ends
    finally:
        await broker.kill()
    if not (place / target.name).exists():
        raise SandboxError(
            f"Java did not write its AOT cache within {AOT_TIMEOUT:.0f} s. Is there half a "
            "gigabyte of memory and disk left? Run set-up again."
        )
    shutil.copyfile(place / target.name, target)  # ours now: no broker can change what others load
    shutil.rmtree(place)


def _client(bootstrap: str) -> dict[str, str | int | float | bool]:
    """Return the settings of a client that keeps its complaints to itself."""
    return {"bootstrap.servers": bootstrap, "log_level": 0}


def _use_internal_topics(bootstrap: str) -> None:
    """Make the broker create __consumer_offsets and __transaction_state, and leave no group."""
    consumer = Consumer({**_client(bootstrap), "group.id": "setup"})
    deadline = time.monotonic() + CLIENT_TIMEOUT
    while not _coordinated(consumer):
        if time.monotonic() > deadline:
            raise SandboxError("Kafka did not create __consumer_offsets. Run set-up again.")
        time.sleep(0.05)
    consumer.close()
    producer = Producer({**_client(bootstrap), "transactional.id": "setup"})
    producer.init_transactions(CLIENT_TIMEOUT)


def _coordinated(consumer: Consumer) -> bool:
    """Tell whether the consumer's group has its coordinator: the topic behind it is there."""
    try:
        return bool(consumer.committed([TopicPartition("none", 0)], timeout=CLIENT_TIMEOUT))
    except KafkaException:
        return False


def _usual_work(bootstrap: str) -> None:
    """Produce in a transaction, consume and commit in both group protocols."""
    with AdminClient(_client(bootstrap)) as admin:
        admin.create_topics([NewTopic("training", num_partitions=3)])["training"].result()
    producer = Producer({**_client(bootstrap), "transactional.id": "training"})
    producer.init_transactions(CLIENT_TIMEOUT)
    producer.begin_transaction()
    for number in range(100):
        producer.produce("training", key=str(number), value=b"x" * 100)
    producer.commit_transaction(CLIENT_TIMEOUT)
    for protocol in ("classic", "consumer"):
        _consume_once(bootstrap, protocol)


def _consume_once(bootstrap: str, protocol: str) -> None:
    consumer = Consumer(
        {
            **_client(bootstrap),
            "group.id": f"training-{protocol}",
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["training"])
    if not consumer.consume(1, CLIENT_TIMEOUT):
        raise SandboxError("The training client read nothing from the broker. Run set-up again.")
    consumer.commit(asynchronous=False)
    consumer.close()
