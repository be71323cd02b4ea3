"""Clients that mean harm: only their own connections may suffer."""

import asyncio

import pytest

from sandbox.broker import Broker
from sandbox.gateway import Limits
from tests.sandbox.gateway.stage import Raw, Stage

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

HOSTILE = {
    "negative length": b"\xff\xff\xff\xff",
    "huge length": b"\x7f\xff\xff\xffrest",
    "empty frame": b"\0\0\0\0",
    "short header": b"\0\0\0\4\0\3\0\1",
    "unknown api": b"\0\0\0\n\x7f\xff\0\0\0\0\0\1\xff\xff",
    "unknown version": b"\0\0\0\n\0\3\0\x63\0\0\0\1\xff\xff",
    "http": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "array without end": b"\0\0\0\x0e\0\3\0\1\0\0\0\1\xff\xff\x7f\xff\xff\xff",
    "large request": b"\0\x05\0\0" + b"\0\3\0\1\0\0\0\1\xff\xff" + bytes(5 * 65536 - 10),
    "array of very many": b"\0\0\x75\x40\0\2\0\1\0\0\0\1\xff\xff\0\0\0\0\0\0\x75\x2e"
    + bytes(29998),
    "client id that is no text": b"\0\0\0\x0c\0\3\0\1\0\0\0\1\0\2\xff\xff",
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_bytes_end_their_connection_only(stage: Stage, sent: bytes) -> None:
    client, other = await stage.raw(), await stage.raw()
    client.writer.write(sent)
    assert await client.closed()
    assert len(await stage.until(lambda: stage.of("refused"))) == 1
    assert "ClusterId" in await other.call("Metadata", 4, {})


async def test_requests_that_come_too_fast_wait_their_turn(broker: Broker) -> None:
    paced = Stage(broker, Limits(requests_per_second=20))
    storms = [await paced.raw("storm"), await paced.raw("storm")]
    other = await paced.raw("other")
    loop = asyncio.get_running_loop()
    began = loop.time()
    answers = [asyncio.create_task(ask_often(storm, 40)) for storm in storms]
    await other.call("Metadata", 4, {})
    assert not any(answer.done() for answer in answers)
    await asyncio.gather(*answers)
    assert loop.time() - began >= 3.0  # 80 of them: 20 at once, the others at 20 a second
    await paced.close()


async def ask_often(client: Raw, times: int) -> None:
    for _ in range(times):
        client.send("Metadata", 4, {})
    for _ in range(times):
        await client.receive()


async def test_a_slow_sender_blocks_nobody(stage: Stage) -> None:
    slow, other = await stage.raw(), await stage.raw()
    slow.writer.write(b"\0\x10")
    await other.call("Metadata", 4, {})
    slow.writer.write(b"\0\0half a frame")
    await other.call("Metadata", 4, {})


async def test_connections_are_capped(broker: Broker, stage: Stage) -> None:
    capped = Stage(broker, Limits(kafka_connections=2))
    first, second = await capped.raw(), await capped.raw()
    await first.call("Metadata", 4, {})
    await second.call("Metadata", 4, {})
    assert await (await capped.raw()).closed()
    assert capped.of("connection", what="refused", detail="too many connections")
    first.writer.close()
    await capped.fact("connection", what="closed")
    third = await capped.raw()
    await third.call("Metadata", 4, {})
    await capped.close()


async def test_a_storm_of_requests_cannot_fill_the_history(broker: Broker) -> None:
    storm = Stage(broker, Limits(history_bytes=5000))
    client = await storm.raw()
    for _ in range(500):
        client.send("DeleteGroups", 2, {"GroupsNames": ["another"]})
    assert 0 < len(await drain(client)) < 500
    assert await (await storm.raw()).closed()
    assert len(storm.of("refused", api="all")) == 1
    assert len(repr(storm.facts)) < 10_000
    await storm.close()


async def test_a_storm_of_requests_leaves_others_their_turn(stage: Stage) -> None:
    storm, other = await stage.raw("storm"), await stage.raw("other")
    await other.call("Metadata", 4, {})
    for _ in range(3000):
        storm.send("DeleteGroups", 2, {"GroupsNames": ["another"]})
    await stage.fact("refused", instance="storm")
    await other.call("Metadata", 4, {})
    assert len(stage.of("refused")) < 3000


async def drain(client: Raw) -> list[int]:
    """The responses until the connection is closed."""
    numbers = []
    try:
        while True:
            numbers.append((await client.receive())[0])
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return numbers


async def test_requests_beyond_the_allowed_flight_wait_and_are_answered(broker: Broker) -> None:
    narrow = Stage(broker, Limits(requests_in_flight=2))
    client = await narrow.raw()
    numbers = [client.send("Metadata", 4, {}) for _ in range(50)]
    assert [(await client.receive())[0] for _ in numbers] == numbers
    await narrow.close()
