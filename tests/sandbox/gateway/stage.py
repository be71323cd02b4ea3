"""What the gateway's tests play on: a real broker, a gateway, programs in boxes, raw clients."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable
from typing import Any

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from sandbox.box import Box
from sandbox.broker import Broker
from sandbox.gateway import Gateway, Limits, Policy
from sandbox.gateway.codec import Body, Codec
from sandbox.gateway.gateway import KAFKA_PORT, kafka_codec
from tests.sandbox.gateway.clients import PROGRAMS, client_of

PATIENCE = 30.0  # seconds until a test gives up waiting; nothing is measured by it
PARTITIONS = 3
OTHER_PORT = 9093  # where a second broker seems to be
numbers = itertools.count(1)


class Raw:
    """A client that says exactly what a test wants said."""

    def __init__(self, codec: Codec, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._codec = codec
        self._reader = reader
        self.writer = writer
        self._sent: dict[int, tuple[str, int]] = {}

    def send(self, api: str, version: int, body: Body) -> int:
        """Send a request and return its correlation id."""
        number = next(numbers)
        self._sent[number] = (api, version)
        self.writer.write(self._codec.encode_request(api, version, number, "raw", body))
        return number

    async def receive(self) -> tuple[int, Body]:
        """Return the next response with its correlation id; IncompleteReadError when closed."""
        async with asyncio.timeout(PATIENCE):
            size = int.from_bytes(await self._reader.readexactly(4))
            frame = memoryview(await self._reader.readexactly(size))
        number = int.from_bytes(frame[:4])
        return number, self._codec.decode_response(*self._sent[number], frame)

    async def call(self, api: str, version: int, body: Body) -> Body:
        number = self.send(api, version, body)
        answered, response = await self.receive()
        assert answered == number
        return response

    async def closed(self) -> bool:
        """Return True once the other side has closed without a word."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self._reader.read(1) == b""
            except ConnectionResetError:
                return True


class Stage:
    """One test's own topics and group on the broker, with a gateway in front."""

    def __init__(
        self,
        broker: Broker,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        upstream: tuple[str, int] | None = None,
        late_led_at: int | None = None,
    ) -> None:
        """upstream: where the gateway finds the broker, if not at the broker itself.
        late_led_at: the port of another broker that seems to lead the topic `late`."""
        number = next(numbers)
        self.broker = broker
        self._upstream = upstream or broker.app_address
        self.topic, self.out = f"in-{number}", f"out-{number}"
        self.late = f"late-{number}"
        self.leaders = {self.late: late_led_at} if late_led_at else {}
        self.secret, self.group = f"secret-{number}", f"group-{number}"
        self.facts: list[dict[str, Any]] = []
        self.lines: list[tuple[str, str]] = []
        self.boxes: dict[str, Box] = {}
        self.all_is_noted = asyncio.Event()  # what `send` has written
        self.all_is_noted.set()
        self._news = asyncio.Event()
        self._open = contextlib.ExitStack()  # an AdminClient left to the collector may abort
        settings = {"bootstrap.servers": broker.bootstrap, "log_level": 0}
        self._admin = self._open.enter_context(AdminClient(settings))
        self._clients: list[Raw] = []
        self._doors: dict[str, tuple[str, int]] = {}
        self.gateway = self.make_gateway(limits)

    def make_gateway(self, limits: Limits, database: tuple[str, int] | None = None) -> Gateway:
        """Return a gateway that grants this test's topics and group."""
        policy = Policy(
            read=frozenset({self.topic, self.out, self.late}),
            write=frozenset({self.out}),
            groups=frozenset({self.group}),
        )
        return Gateway(
            broker=self._upstream,
            database=database,
            record=self._record,
            policy=policy,
            leaders=self.leaders,
            noted=self._noted,
            limits=limits,
        )

    async def _noted(self, topic: str) -> None:
        await self.all_is_noted.wait()

    async def create_topics(self) -> None:
        topics = [NewTopic(name, 1) for name in (self.out, self.secret, self.late)]
        topics.append(NewTopic(self.topic, PARTITIONS))
        for created in self._admin.create_topics(topics).values():
            await asyncio.wrap_future(created)
        first = [TopicPartition(topic.topic, 0) for topic in topics]
        await asyncio.gather(*map(self._until_it_is_led, first))

    async def _until_it_is_led(self, partition: TopicPartition) -> None:
        """The broker knows a topic a moment before it can read and write it."""
        while True:
            with contextlib.suppress(KafkaException):
                (offset,) = self._admin.list_offsets({partition: OffsetSpec.latest()}).values()
                await asyncio.wrap_future(offset)
                return

    async def send(self, count: int, partition: int = 0, topic: str | None = None) -> None:
        """Write `count` records to one partition of a topic, the input topic, as one batch."""
        producer = Producer(
            {"bootstrap.servers": self.broker.bootstrap, "linger.ms": 50, "log_level": 0}
        )
        for number in range(count):
            producer.produce(topic or self.topic, f"value {number}", partition=partition)
        await asyncio.to_thread(producer.flush)

    async def committed(self, partition: int = 0) -> int | None:
        """What the broker itself says about the group's position; None when it has none."""
        wanted = [ConsumerGroupTopicPartitions(self.group)]
        (answer,) = self._admin.list_consumer_group_offsets(wanted).values()
        positions = (await asyncio.wrap_future(answer)).topic_partitions
        found = {p.partition: p.offset for p in positions if p.topic == self.topic}
        return found.get(partition)

    async def start(self, instance: str, program: str, **env: str) -> Box:
        """Run a program of `programs/` in a box whose doors the gateway serves."""
        how = client_of(program)
        environment = {
            **how.env,
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{KAFKA_PORT}",
            "GROUP_ID": self.group,
            "TOPIC": self.topic,
            "OUT": self.out,
            **env,
        }
        box = await Box.start(
            instance,
            command=how.command,
            source=PROGRAMS,
            env=environment,
            door_ports=[KAFKA_PORT, *self.leaders.values()],
            mounts=how.mounts,
            on_output=lambda stream, line: self._hear(instance, line),
        )
        self.boxes[instance] = box
        await self.gateway.attach(instance, box.doors)
        return box

    async def raw(self, instance: str = "raw") -> Raw:
        """Connect a raw client; the first of an instance opens its door."""
        if instance not in self._doors:
            door = socket.create_server(("127.0.0.1", 0))
            self._doors[instance] = door.getsockname()
            await self.gateway.attach(instance, {KAFKA_PORT: door})
        client = Raw(kafka_codec(), *await asyncio.open_connection(*self._doors[instance]))
        self._clients.append(client)
        return client

    def of(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """The facts of a kind with these fields, in order."""
        wanted = {"kind": kind, **fields}.items()
        return [fact for fact in self.facts if wanted <= fact.items()]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Return the condition's value once that is true; asked at each fact and each line."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not (value := condition()):
                    self._news.clear()
                    await self._news.wait()
                return value
        except TimeoutError:
            raise AssertionError(f"waited in vain; {self.facts[-20:]} {self.lines[-20:]}") from None

    async def fact(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the first fact like this, once it is there."""
        return (await self.until(lambda: self.of(kind, **fields)))[0]

    async def line(self, instance: str, text: str) -> None:
        """Return once the instance has printed a line that begins so."""
        await self.until(
            lambda: any(who == instance and line.startswith(text) for who, line in self.lines)
        )

    async def close(self) -> None:
        for box in self.boxes.values():
            await box.kill()
        for client in self._clients:
            client.writer.close()
        await self.gateway.close()
        self._open.close()

    def _record(self, kind: str, fields: dict[str, Any]) -> None:
        self.facts.append({"kind": kind, **fields})
        self._news.set()

    def _hear(self, instance: str, line: str) -> None:
        self.lines.append((instance, line))
        self._news.set()
