"""Questions to the program over HTTP, asked through the door of an instance.

A program that serves HTTP listens at a port inside its box. Each question has a connection of its
own and a bounded time, and an answer has a bounded size, for what answers may be anything.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpcore

from sandbox.box import Box
from sandbox.gateway.outside import read_json

MOST_BYTES = 1 << 20
LATE = "there was no whole answer in time"


class BadAnswer(Exception):
    """There was no answer that anybody could use; says why, in words."""


@dataclass(frozen=True)
class Question:
    """What is asked: `path` with its query, `body` as JSON, None for no body at all."""

    method: str
    path: str
    body: Any = None

    @property
    def content(self) -> bytes:
        """The bytes of the body."""
        return b"" if self.body is None else json.dumps(self.body).encode()

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The request's headers; httpcore adds no others."""
        return [
            (b"host", b"127.0.0.1"),
            (b"connection", b"close"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self.content)).encode()),
        ]


async def ask(box: Box, port: int, question: Question, within: float) -> tuple[int, Any]:
    """The status and the JSON of an answer, None of an empty one.

    Raises BadAnswer when nothing listens, or the answer is not whole after `within` seconds, is
    longer than 1 MiB, or is no HTTP or no JSON.
    """
    try:
        async with asyncio.timeout(within), connections(box, port) as pool:
            return await exchange(pool, port, question)
    except TimeoutError:
        raise BadAnswer(LATE) from None
    except ConnectionRefusedError:
        raise BadAnswer(f"nothing listens at port {port}") from None
    except (OSError, httpcore.NetworkError):
        raise BadAnswer("the connection broke") from None
    except httpcore.ProtocolError as error:
        raise BadAnswer(f"the answer is not HTTP/1.1: {error}") from error
    except ValueError as error:
        raise BadAnswer(f"the answer's body is not JSON: {error}") from error


@asynccontextmanager
async def connections(box: Box, port: int) -> AsyncIterator[httpcore.AsyncConnectionPool]:
    """A pool for one question."""
    pool = httpcore.AsyncConnectionPool(network_backend=Door(box, port), http2=False)
    try:
        yield pool
    finally:
        await pool.aclose()


async def exchange(
    pool: httpcore.AsyncConnectionPool, port: int, question: Question
) -> tuple[int, Any]:
    """Ask, and read the answer as far as it may go."""
    url = httpcore.URL(scheme=b"http", host=b"127.0.0.1", port=port, target=question.path.encode())
    async with pool.stream(
        question.method.encode(), url, headers=question.headers, content=question.content
    ) as response:
        content = bytearray()
        async for piece in response.aiter_stream():
            content += piece
            if len(content) > MOST_BYTES:
                raise BadAnswer(f"the answer is longer than {MOST_BYTES} bytes")
    return response.status, read_json(bytes(content))


class Door(httpcore.AsyncNetworkBackend):
    """Connects into a box, whatever host is named."""

    def __init__(self, box: Box, port: int) -> None:
        self.box, self.port = box, port

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return Passage(*await asyncio.open_connection(sock=await self.box.connect(self.port)))


class Passage(httpcore.AsyncNetworkStream):
    """A connection into a box; `ask` bounds its time as a whole."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self.reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.writer.write(buffer)
        await self.writer.drain()

    async def aclose(self) -> None:
        self.writer.close()

    def get_extra_info(self, info: str) -> Any:
        return self.writer.get_extra_info("socket") if info == "socket" else None
