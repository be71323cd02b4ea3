"""What real clients and the real broker say to one another through a gateway, byte by byte."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from tests.sandbox.gateway.clients import OTHERS
from tests.sandbox.gateway.stage import Stage

PROGRAMS = {
    "librdkafka classic": ("confluent", "classic"),
    "librdkafka consumer": ("confluent", "consumer"),
    "librdkafka transactions": ("confluent_transactions", "classic"),
    "aiokafka": ("aiokafka_transactions", "classic"),
    "kafka-python": ("kafka_python", "classic"),
    "Java classic": ("java", "classic"),
    "Java consumer": ("java", "consumer"),
    "kafkajs": ("kafkajs", "classic"),
}
# By name, for parametrize; those that are fetched from other registries only in the long tests.
NAMES = [
    pytest.param(name, marks=pytest.mark.long) if program in OTHERS else name
    for name, (program, _) in PROGRAMS.items()
]


@dataclass
class Conversation:
    """All bytes of one connection."""

    requests: bytearray = field(default_factory=bytearray)
    responses: bytearray = field(default_factory=bytearray)


class Tap:
    """Stands where the gateway sees the broker, and remembers all bytes of each connection."""

    def __init__(self) -> None:
        self.conversations: list[Conversation] = []

    @contextlib.asynccontextmanager
    async def between(self, broker: tuple[str, int]) -> AsyncIterator[tuple[str, int]]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen = Conversation()
            self.conversations.append(seen)
            upstream, to_broker = await asyncio.open_connection(*broker)
            await asyncio.gather(
                carry(reader, to_broker, seen.requests), carry(upstream, writer, seen.responses)
            )

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()
        server.close()


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            seen += data
            writer.write(data)
            await writer.drain()
    writer.close()


def frames(stream: bytes | bytearray) -> list[memoryview]:
    """The whole frames of a stream, without their lengths."""
    whole, left = [], memoryview(stream)
    while len(left) >= 4 and len(left) >= 4 + (size := int.from_bytes(left[:4])):
        whole.append(left[4 : 4 + size])
        left = left[4 + size :]
    return whole


async def live(stage: Stage, program: str, protocol: str) -> None:
    """Let a program consume three records, and end."""
    await stage.send(3)
    box = await stage.start("app", program, PROTOCOL=protocol)
    await stage.fact("commit", offset=3, outcome="accepted")
    box.signal(signal.SIGTERM)
    await box.wait()
