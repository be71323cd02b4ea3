"""The codec against what real clients and the real broker say to one another."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.broker import Broker
from sandbox.gateway.codec import Codec
from tests.sandbox.gateway.stage import Stage

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]


class Tap:
    """Stands where the gateway sees the broker, and remembers all bytes of each connection."""

    def __init__(self) -> None:
        self.conversations: list[tuple[bytearray, bytearray]] = []

    @contextlib.asynccontextmanager
    async def between(self, broker: tuple[str, int]) -> AsyncIterator[tuple[str, int]]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            requests, responses = bytearray(), bytearray()
            self.conversations.append((requests, responses))
            upstream, to_broker = await asyncio.open_connection(*broker)
            await asyncio.gather(
                carry(reader, to_broker, requests), carry(upstream, writer, responses)
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


def frames(stream: bytearray) -> list[memoryview]:
    whole, left = [], memoryview(stream)
    while len(left) >= 4 and len(left) >= 4 + (size := int.from_bytes(left[:4])):
        whole.append(left[4 : 4 + size])
        left = left[4 + size :]
    return whole


@pytest_asyncio.fixture(loop_scope="session")
async def tapped(broker: Broker) -> AsyncIterator[tuple[Stage, Tap]]:
    tap = Tap()
    async with tap.between(broker.app_address) as address:
        stage = Stage(broker, upstream=address)
        await stage.create_topics()
        yield stage, tap
        await stage.close()


PROGRAMS = {
    "librdkafka classic": ("confluent", "classic"),
    "librdkafka consumer": ("confluent", "consumer"),
    "aiokafka": ("aiokafka_transactions", "classic"),
    "kafka-python": ("kafka_python", "classic"),
}


@pytest.mark.parametrize(("program", "protocol"), PROGRAMS.values(), ids=PROGRAMS)
async def test_real_traffic_survives_decode_and_encode(
    tapped: tuple[Stage, Tap], codec: Codec, program: str, protocol: str
) -> None:
    stage, tap = tapped
    await stage.send(3)
    box = await stage.start("app", program, PROTOCOL=protocol)
    await stage.fact("commit", offset=3)
    box.signal(signal.SIGTERM)
    await stage.line("app", "closed")
    seen: Counter[str] = Counter()
    for requests, responses in tap.conversations:
        check(codec, frames(requests), frames(responses), seen)
    assert {"ApiVersions", "Metadata", "Fetch", "FindCoordinator", "OffsetFetch"} <= seen.keys()


def check(
    codec: Codec, requests: list[memoryview], responses: list[memoryview], seen: Counter[str]
) -> None:
    """Decode and encode every frame of a connection; the bytes must be the same."""
    for request, response in zip(requests, responses, strict=False):
        header = codec.request_header(request)
        api, version = codec.api_names[header.api_key], header.version
        seen[api] += 1
        again = codec.encode(
            f"{api}Request",
            version,
            codec.decode_request(api, version, request, header.body_at),
        )
        sent = bytes(request[header.body_at :])
        # librdkafka appends three zero bytes to a Metadata request for all topics
        assert again == (
            sent.removesuffix(bytes(3)) if api == "Metadata" and again != sent else sent
        )
        body = codec.decode_response(api, version, response)
        answered = codec.encode_response(api, version, header.correlation_id, body)
        assert answered[4:] == response
