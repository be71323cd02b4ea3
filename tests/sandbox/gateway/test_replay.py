"""What real clients said, said again: split anywhere, cut short, spoiled.

The gateway must hand on the same bytes and record the same facts however the bytes come, and no
bytes whatever may hurt it or be taken for another instance's.
"""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.broker import Broker
from sandbox.gateway import Gateway, Limits
from sandbox.gateway.exchange import CutOff
from sandbox.gateway.frames import FrameParser, FrameTooLarge
from sandbox.gateway.gateway import KAFKA_PORT
from sandbox.gateway.wire import Malformed
from tests.sandbox.gateway.stage import PATIENCE, Stage
from tests.sandbox.gateway.tap import NAMES, PROGRAMS, Conversation, Tap, frames, live
from tests.sandbox.gateway.test_frames import feed

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

FEW = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(FEW, max_examples=500)
WIRE = ("joined", "assigned", "left", "fetched", "commit", "produced", "producer", "ended")
MOST_PIECES = 100  # of one stream: more would only take time

sizes = st.lists(st.integers(1, 3000), min_size=1, max_size=10)
spoils = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.integers(0, 8), st.binary(max_size=8)),
    min_size=1,
    max_size=6,
)


def pieces(data: bytes | bytearray, lengths: list[int]) -> Iterator[bytes]:
    """Cut data into pieces of these lengths, over and over."""
    at, least = 0, len(data) // MOST_PIECES
    for length in itertools.cycle(lengths):
        if at >= len(data):
            return
        yield bytes(data[at : at + max(length, least)])
        at += max(length, least)


def spoiled(data: bytes | bytearray, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Put other bytes in the place of some, here and there; maybe more or fewer."""
    result = bytearray(data)
    for position, length, other in changes:
        at = position % (len(result) + 1)
        result[at : at + length] = other
    return bytes(result)


def told(facts: list[dict[str, Any]], instance: str) -> list[str]:
    """The facts of the wire about an instance, without its name."""
    mine = [f for f in facts if f.get("instance") == instance and f["kind"] in WIRE]
    return [json.dumps(fact | {"instance": ""}, sort_keys=True) for fact in mine]


@dataclass
class Recording:
    """What a client said and heard, and what was recorded then."""

    stage: Stage
    conversations: list[Conversation]
    facts: list[str]

    def gateway(self, upstream: tuple[str, int]) -> Gateway:
        """A new gateway with the rights and the knowledge of the one that was there then."""
        known = self.stage.gateway._intake.names._names
        self.stage.facts.clear()
        self.stage._upstream = upstream
        gateway = self.stage.make_gateway(Limits(settle_seconds=0.05))
        gateway._intake.names._names.update(known)
        return gateway


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=NAMES)
async def recording(broker: Broker, request: pytest.FixtureRequest) -> Recording:
    tap = Tap()
    async with tap.between(broker.app_address) as address:
        stage = Stage(broker, upstream=address)
        await stage.create_topics()
        await live(stage, *PROGRAMS[request.param])
        await stage.close()
    return Recording(stage, tap.conversations, told(stage.facts, "app"))


class Replay:
    """Programs on one side of a gateway and a broker on the other, who say what they said before.

    cuts: the lengths in which both send it.
    """

    def __init__(self, recording: Recording, cuts: list[int]) -> None:
        self._recording = recording
        self._cuts = cuts
        self._next: asyncio.Queue[Conversation] = asyncio.Queue()
        self._accepted = asyncio.Event()

    async def play(self, *instances: str) -> list[list[str]]:
        """Let instances say everything at once; return the facts about each."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        gateway = self._recording.gateway(server.sockets[0].getsockname())
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            for instance in instances:
                door = socket.create_server(("127.0.0.1", 0))
                await gateway.attach(instance, {KAFKA_PORT: door})
                for each in self._recording.conversations:
                    self._next.put_nowait(each)
                    self._accepted.clear()
                    tasks.create_task(self._say(door.getsockname()[1], each))
                    await self._accepted.wait()
        await gateway.close()
        server.close()
        assert gateway.failure is None
        return [sorted(told(self._recording.stage.facts, each)) for each in instances]

    async def _say(self, port: int, conversation: Conversation) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        expected = len(frames(conversation.responses))
        hearing = asyncio.create_task(_hear(reader, expected))
        await _send(writer, pieces(conversation.requests, self._cuts))
        await hearing
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Be the broker on one connection: answer each request when it is there whole."""
        conversation = await self._next.get()
        self._accepted.set()
        requests = frames(conversation.requests)
        for request, response in zip(requests, frames(conversation.responses), strict=False):
            assert await reader.readexactly(4 + len(request))
            await _send(writer, pieces(len(response).to_bytes(4) + response, self._cuts))
        await reader.read()
        writer.close()


async def _send(writer: asyncio.StreamWriter, parts: Iterator[bytes]) -> None:
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0)


async def _hear(reader: asyncio.StreamReader, count: int) -> None:
    for _ in range(count):
        await reader.readexactly(int.from_bytes(await reader.readexactly(4)))


@settings(FEW, max_examples=8)
@given(sizes)
async def test_facts_do_not_depend_on_how_the_bytes_come(
    recording: Recording, cuts: list[int]
) -> None:
    """Two instances say the same at once, in pieces: each has the facts of when it was one."""
    for facts in await Replay(recording, cuts).play("a", "b"):
        assert facts == sorted(recording.facts)


@FEW
@given(st.data(), spoils, sizes)
async def test_spoiled_requests_hurt_nobody(
    recording: Recording, data: st.DataObject, changes: list, cuts: list[int]
) -> None:
    """No bytes keep a connection open that the program has closed, or break the gateway."""
    await say_spoiled(recording, data, changes, cuts)


@pytest.mark.long
@MANY
@given(st.data(), spoils, sizes)
async def test_spoiled_requests_hurt_nobody_many_times(
    recording: Recording, data: st.DataObject, changes: list, cuts: list[int]
) -> None:
    await say_spoiled(recording, data, changes, cuts)


async def say_spoiled(
    recording: Recording, data: st.DataObject, changes: list, cuts: list[int]
) -> None:
    conversation = data.draw(st.sampled_from(recording.conversations))
    async with swallower() as address:
        gateway = recording.gateway(address)
        door = socket.create_server(("127.0.0.1", 0))
        await gateway.attach("spoiled", {KAFKA_PORT: door})
        reader, writer = await asyncio.open_connection(*door.getsockname())
        with contextlib.suppress(OSError):  # the gateway may have closed it by now
            await _send(writer, pieces(spoiled(conversation.requests, changes), cuts))
            writer.write_eof()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                await reader.read()
        writer.close()
        await gateway.close()
    assert gateway.failure is None
    assert {fact["instance"] for fact in recording.stage.facts} == {"spoiled"}


@contextlib.asynccontextmanager
async def swallower() -> AsyncIterator[tuple[str, int]]:
    """A broker that listens and never answers."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()
    server.close()


@FEW
@given(st.data(), sizes, st.integers(0))
async def test_frames_of_any_split_and_length(
    recording: Recording, data: st.DataObject, cuts: list[int], cut: int
) -> None:
    """A stream cut short has all its whole frames, however it comes."""
    conversation = data.draw(st.sampled_from(recording.conversations))
    for stream in (conversation.requests, conversation.responses):
        short = bytes(stream[: cut % (len(stream) + 1)])
        parser, found = FrameParser(Limits().response_bytes), []
        for piece in pieces(short, cuts):
            found += feed(parser, piece, len(piece))
        assert [frame[4:] for frame in found] == frames(short)


@FEW
@given(st.data(), spoils)
async def test_spoiled_frames_are_read_or_refused(
    recording: Recording, data: st.DataObject, changes: list
) -> None:
    """Nothing but the two ways in which a request may be refused."""
    gateway = recording.gateway(("127.0.0.1", 1))
    requests = [bytes(f) for each in recording.conversations for f in frames(each.requests)]
    for _ in range(20):
        frame = spoiled(data.draw(st.sampled_from(requests)), changes)
        with contextlib.suppress(Malformed, CutOff):
            gateway._intake.open("spoiled", memoryview(frame))


@FEW
@given(st.data(), spoils)
async def test_a_spoiled_stream_ends_or_is_cut_into_frames(
    recording: Recording, data: st.DataObject, changes: list
) -> None:
    stream = spoiled(data.draw(st.sampled_from(recording.conversations)).requests, changes)
    parser = FrameParser(Limits().produce_bytes)
    try:
        found = feed(parser, stream, 1000)
    except FrameTooLarge:
        return
    assert stream.startswith(b"".join(found))
