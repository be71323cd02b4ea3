"""HTTP clients that mean harm, or do not know how: only their own connections may suffer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.gateway import Limits
from tests.sandbox.gateway.shop import PATIENCE, Shop

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

LIMITS = Limits(http_connections=3, http_body_bytes=1000, http_header_bytes=2000)
CHARGE = b'POST /charges HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{"order":"o-1"}'


@pytest_asyncio.fixture(loop_scope="session")
async def shop(prepared: None) -> AsyncIterator[Shop]:
    shop = Shop(LIMITS)
    yield shop
    await shop.gateway.close()
    assert shop.gateway.failure is None


async def say(port: int, data: bytes, end: bool = False) -> bytes:
    """Send bytes and return all that comes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(data)
            if end:
                writer.write_eof()
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def post(body: bytes, *headers: bytes) -> bytes:
    head = [b"POST / HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*head, b"", body])


BAD = {
    "no http": (b"\0\0\0\x0c hello\r\n\r\n", b"400"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", b"400"),
    "connect": (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
    "header without end": (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"431"),
    "headers without end": (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 5000, b"431"),
    "huge length": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
    "two lengths": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"400",
    ),
    "endless chunks": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2000,
        b"413",
    ),
    "waits to send too much": (
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n",
        b"413",
    ),
    "bad chunk": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"400",
    ),
    "no json": (post(b"order=o-1"), b"400"),
    "no utf-8": (post(b'"\xff"'), b"400"),
    "deep json": (post(b"[" * 1000), b"400"),
    "no number": (post(b"[NaN]"), b"400"),
    "infinite number": (post(b"[1e999]"), b"400"),
    "long number": (post(b"1" * 900 + b"e999"), b"400"),
    "half a character": (post(b'"\\ud800"'), b"400"),
    "character 0": (post(b'"\\u0000"'), b"400"),
    "character 0 in the path": (b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
}


@pytest.mark.parametrize(("sent", "status"), BAD.values(), ids=BAD)
async def test_what_is_no_request_is_answered_refused_and_closed(
    shop: Shop, sent: bytes, status: bytes
) -> None:
    port = await shop.door()
    answer = await say(port, sent)
    assert answer.startswith(b"HTTP/1.1 " + status) and b"connection: close" in answer.lower()
    assert len(shop.of("refused", api="payment")) == 1 and not shop.asked
    assert (await say(port, CHARGE, end=True)).startswith(b"HTTP/1.1 201")


@pytest.mark.parametrize("cut", [1, 20, 50, len(CHARGE) - 1])
async def test_a_program_that_dies_while_it_asks_has_asked_nothing(shop: Shop, cut: int) -> None:
    assert await say(await shop.door(), CHARGE[:cut], end=True) == b""
    await shop.fact("connection", what="closed", detail="by the program")
    assert not shop.of("refused") and not shop.asked


async def test_bad_requests_of_programs_that_do_not_wait_for_an_answer(shop: Shop) -> None:
    port = await shop.door()
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"no http\r\n\r\n" * 100)
        writer.transport.abort()
    assert (await say(port, CHARGE, end=True)).startswith(b"HTTP/1.1 201")


async def test_pipelined_requests_are_answered_in_their_order(shop: Shop) -> None:
    held = shop.gateway.call_fault("payment", nth=2).hold()
    storm = b"".join(CHARGE.replace(b"o-1", b"o-%d" % (n % 10)) for n in range(200))
    answers = asyncio.create_task(say(await shop.door(), storm, end=True))
    await held.wait_applied()
    assert len(shop.asked) == 1
    held.release()
    told = (await answers).split(b"HTTP/1.1 201")[1:]
    assert [int(each[-3:-2]) for each in told] == [n % 10 for n in range(200)]


async def test_slow_senders_and_idle_ones_block_nobody(shop: Shop) -> None:
    port = await shop.door()
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    idle[1][1].write(CHARGE[:-3])
    assert (await say(port, CHARGE, end=True)).startswith(b"HTTP/1.1 201")
    for _, writer in idle:
        writer.close()


async def test_connections_are_capped(shop: Shop) -> None:
    port = await shop.door()
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    await shop.until(lambda: len(shop.of("connection", what="opened")) == 3)
    assert await say(port, CHARGE) == b""
    assert shop.of("connection", what="refused", detail="too many connections")
    idle[0][1].close()
    await shop.fact("connection", what="closed")
    assert (await say(port, CHARGE, end=True)).startswith(b"HTTP/1.1 201")
    for _, writer in idle[1:]:
        writer.close()


async def test_a_storm_of_calls_cannot_fill_the_history(prepared: None) -> None:
    shop = Shop(Limits(history_bytes=5000))
    port = await shop.door()
    await say(port, CHARGE * 500)
    assert 0 < len(shop.of("call")) < 500
    assert await say(port, CHARGE) == b""
    assert len(repr(shop.facts)) < 10_000 and len(shop.of("refused", api="all")) == 1
    await shop.gateway.close()


async def test_a_program_that_never_reads_stops_being_answered(shop: Shop) -> None:
    """Its answers fill its own socket, then it is not read any more, and others go on."""
    port = await shop.door()
    _, greedy = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(200):
        greedy.write(CHARGE * 100)
        if greedy.transport.get_write_buffer_size():
            break
        await asyncio.sleep(0)
    assert (await say(port, CHARGE, end=True)).startswith(b"HTTP/1.1 201")
    greedy.transport.abort()
