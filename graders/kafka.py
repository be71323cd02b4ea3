"""The grader's own dealings with the broker, past the gateway and without disturbing the program.

Requests about topics and groups go over one connection of our own; records are written and read
with librdkafka in a thread, because nothing in this is worth writing twice.
"""

import asyncio
import functools
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from graders.trouble import PlatformFault
from sandbox.gateway.gateway import kafka_codec
from sandbox.gateway.link import Link

Lane = tuple[str, int]

CREATE_TOPICS_VERSION = 5
METADATA_VERSION = 4
OFFSET_FETCH_VERSION = 7
LIST_OFFSETS_VERSION = 5
LATEST = -1
READ_COMMITTED = 1
TOPIC_EXISTS = 36
BY_KEY = -1  # librdkafka's RD_KAFKA_PARTITION_UA
SEND_TIMEOUT_S = 20.0
DRAIN_TIMEOUT_S = 20.0
DRAIN_WAIT_MS = 10
SHOWN_WITHIN_S = 30.0
SHOWN_POLL_S = 0.02


@dataclass(frozen=True)
class Written:
    """Where the broker put a record; `outcome` "info" and offset None when it did not say."""

    partition: int
    offset: int | None
    outcome: str


@dataclass(frozen=True)
class Outgoing:
    """A record to write."""

    key: str | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Kafka:
    """The grader's connection to one broker."""

    def __init__(self, bootstrap: str) -> None:
        host, port = bootstrap.rsplit(":", 1)
        self.bootstrap = bootstrap
        self._link = Link(kafka_codec(), (host, int(port)))
        # Now, for it takes half a second until a producer may write.
        self._producer = Producer(self._settings())

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    async def create_topics(self, topics: Mapping[str, int]) -> None:
        """Create topics by name and number of partitions; returns when clients see them.
        PlatformFault when that fails."""
        rows = [
            {"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1}
            for name, partitions in topics.items()
        ]
        body = {"Topics": rows, "timeoutMs": 15_000, "validateOnly": False}
        answer = await self._link.call("CreateTopics", CREATE_TOPICS_VERSION, body)
        for topic in answer["Topics"]:
            if topic["ErrorCode"] not in (0, TOPIC_EXISTS):
                raise PlatformFault(f"cannot create {topic['Name']}: {topic['ErrorMessage']}")
        await self._until_shown(topics)

    async def _until_shown(self, topics: Iterable[str]) -> None:
        """Return when the broker tells clients who leads each partition. The controller answers
        earlier, by 250 ms on a busy machine; kafka-python, when it joins a group before it knows
        its topics, gives itself no partitions and asks again only after five minutes."""
        try:
            async with asyncio.timeout(SHOWN_WITHIN_S):
                while not await self._are_shown(topics):  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(SHOWN_POLL_S)
        except TimeoutError:
            raise PlatformFault("the broker does not show the topics that it created") from None

    async def _are_shown(self, topics: Iterable[str]) -> bool:
        body = {"Topics": [{"Name": name} for name in topics], "AllowAutoTopicCreation": False}
        rows = (await self._link.call("Metadata", METADATA_VERSION, body))["Topics"]
        partitions = [part for row in rows for part in row["Partitions"]]
        return not any(each["ErrorCode"] for each in [*rows, *partitions])

    async def committed(self, group: str, lanes: Sequence[Lane]) -> dict[Lane, int | None]:
        """The group's position in each lane; None where it never committed. Offsets of open
        transactions are not counted."""
        rows = [{"Name": t, "PartitionIndexes": found} for t, found in by_topic(lanes).items()]
        body = {"GroupId": group, "Topics": rows, "RequireStable": False}
        answer = await self._link.call("OffsetFetch", OFFSET_FETCH_VERSION, body)
        return {
            (topic["Name"], part["PartitionIndex"]): (
                part["CommittedOffset"] if part["CommittedOffset"] >= 0 else None
            )
            for topic in answer["Topics"]
            for part in topic["Partitions"]
        }

    async def ends(self, lanes: Iterable[Lane]) -> dict[Lane, int]:
        """The offset after the last record of each lane that a read_committed reader may see."""
        rows = [
            {
                "Name": name,
                "Partitions": [{"PartitionIndex": p, "Timestamp": LATEST} for p in found],
            }
            for name, found in by_topic(lanes).items()
        ]
        body = {"ReplicaId": -1, "IsolationLevel": READ_COMMITTED, "Topics": rows}
        answer = await self._link.call("ListOffsets", LIST_OFFSETS_VERSION, body)
        return {
            (topic["Name"], part["PartitionIndex"]): part["Offset"]
            for topic in answer["Topics"]
            for part in topic["Partitions"]
        }

    async def send(
        self, topic: str, records: Sequence[Outgoing], partition: int | None
    ) -> list[Written]:
        """Write records in order; returns when the broker has them all, or has not
        answered for 20 s. Without a partition the key decides, as with Java's default."""
        return await asyncio.to_thread(self._send, topic, records, partition)

    def _send(
        self, topic: str, records: Sequence[Outgoing], partition: int | None
    ) -> list[Written]:
        return write(self._producer, topic, records, partition)

    async def transact(
        self, topic: str, records: Sequence[Outgoing], partition: int | None, *, commit: bool
    ) -> list[Written]:
        """`send` in a transaction of its own, which is then committed or aborted."""
        return await asyncio.to_thread(self._transact, topic, records, partition, commit)

    def _transact(
        self, topic: str, records: Sequence[Outgoing], partition: int | None, commit: bool
    ) -> list[Written]:
        producer = Producer({**self._settings(), "transactional.id": secrets.token_hex(8)})
        producer.init_transactions(SEND_TIMEOUT_S)
        producer.begin_transaction()
        answers = write(producer, topic, records, partition)
        end = producer.commit_transaction if commit else producer.abort_transaction
        end(SEND_TIMEOUT_S)
        return answers

    def _settings(self) -> dict[str, object]:
        return {
            "bootstrap.servers": self.bootstrap,
            "enable.idempotence": True,
            "linger.ms": 0,
            "partitioner": "murmur2_random",
            "message.timeout.ms": int(SEND_TIMEOUT_S * 1000),
            "log_level": 0,
        }

    async def drain(self, topics: Mapping[str, int]) -> list[Message]:
        """Every record that a read_committed reader finds in the topics, from first to last."""
        return await asyncio.to_thread(self._drain, topics)

    def _drain(self, topics: Mapping[str, int]) -> list[Message]:
        consumer = make_consumer(self.bootstrap, DRAIN_WAIT_MS)
        lanes = [TopicPartition(t, p, 0) for t, count in topics.items() for p in range(count)]
        try:
            consumer.assign(lanes)
            return read_to_end(consumer, len(lanes))
        finally:
            consumer.close()


def write(
    producer: Producer, topic: str, records: Sequence[Outgoing], partition: int | None
) -> list[Written]:
    """Write records in order, and wait for the broker's word on each, up to 20 s."""
    answers: list[Written | None] = [None] * len(records)
    done = threading.Event()

    def answered(index: int, error: KafkaError | None, message: Message) -> None:
        answers[index] = written(error, message)
        if all(answers):
            done.set()

    place = BY_KEY if partition is None else partition
    for index, record in enumerate(records):
        producer.produce(
            topic,
            record.value,
            record.key,
            partition=place,
            headers=list(record.headers),
            on_delivery=functools.partial(answered, index),
        )
    deadline = time.monotonic() + SEND_TIMEOUT_S
    while records and not done.is_set() and time.monotonic() < deadline:
        producer.poll(0.05)
    return [answer or Written(partition or 0, None, "info") for answer in answers]


def by_topic(lanes: Iterable[Lane]) -> dict[str, list[int]]:
    """The partitions of each topic, as Kafka's requests name them."""
    found: dict[str, list[int]] = {}
    for topic, partition in lanes:
        found.setdefault(topic, []).append(partition)
    return found


def make_consumer(bootstrap: str, wait_ms: int) -> Consumer:
    """A read_committed consumer that says when it has come to the end of a lane, at the latest
    `wait_ms` after it did; a record comes at once. Each wait is a request that the broker pays."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "grader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": wait_ms,
            "log_level": 0,
        }
    )


def written(error: KafkaError | None, message: Message) -> Written:
    """What a delivery report says."""
    offset = None if error else message.offset()
    return Written(message.partition() or 0, offset, "info" if error else "ok")


def read_to_end(consumer: Consumer, lanes: int) -> list[Message]:
    """Read until the end of each lane was met. PlatformFault when that takes over 20 s."""
    found: list[Message] = []
    ended: set[Lane] = set()
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    while len(ended) < lanes:
        if time.monotonic() > deadline:
            raise PlatformFault("the topics could not be read to their end within 20 s")
        for message in consumer.consume(500, timeout=0.1):
            error = message.error()
            if error is None:
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add((str(message.topic()), int(message.partition() or 0)))
    return found


def partition_of(key: str, partitions: int) -> int:
    """Where Kafka's own partitioner puts a key, as our producer and the Java client do."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """The hash of Kafka's default partitioner, as a number of 32 bits."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15
