"""The gateway's end of a connection, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.gateway.frames import FrameTooLarge
from sandbox.gateway.peer import Peer
from tests.sandbox.waiting import until

FRAME = (1000).to_bytes(4) + bytes(1000)
LIMIT = 2_000_000


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[tuple[Peer, asyncio.StreamWriter]]:
    """A peer, and the writer at the other end of its connection."""
    accepted: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    door = socket.create_server(("127.0.0.1", 0))
    server = await loop.create_server(lambda: Peer(LIMIT, accepted.set_result), sock=door)
    _, writer = await asyncio.open_connection(*door.getsockname())
    peer = await accepted
    yield peer, writer
    writer.close()
    peer.close()
    server.close()


async def test_what_nobody_reads_stays_in_the_senders_socket(pair) -> None:
    peer, writer = pair
    count = 20_000
    writer.write(FRAME * count)
    await until(lambda: not peer.transport.is_reading())
    assert peer._parser.waiting < 200_000  # of 20 million bytes
    frames = [await peer.read() for _ in range(count)]
    assert set(frames) == {FRAME}


async def test_what_was_sent_before_the_end_is_read_before_the_end(pair) -> None:
    peer, writer = pair
    writer.write(FRAME * 3)
    writer.close()
    await writer.wait_closed()
    assert [await peer.read() for _ in range(3)] == [FRAME] * 3
    with pytest.raises(ConnectionError):
        await peer.read()
    peer.write(FRAME)
    with pytest.raises(ConnectionError):
        await peer.drain()


async def test_a_frame_over_the_limit_comes_after_those_before_it(pair) -> None:
    peer, writer = pair
    writer.write(FRAME + (LIMIT + 1).to_bytes(4))
    assert await peer.read() == FRAME
    with pytest.raises(FrameTooLarge):
        await peer.read()


async def test_close_does_not_wait_for_a_peer_that_takes_nothing(
    pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, writer = pair
    monkeypatch.setattr(Peer, "_LAST_WORDS", 0.01)
    writer.transport.pause_reading()
    while peer.transport.get_write_buffer_size() == 0:
        peer.write(FRAME * 1000)
        await asyncio.sleep(0)
    peer.close()
    with pytest.raises(ConnectionError):
        await peer.read()
