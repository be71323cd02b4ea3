"""A program's HTTP connection: requests come out of it, responses go in."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import h11

from sandbox.gateway.limits import Limits
from sandbox.gateway.outside import HttpRequest, HttpResponse, read_json

_READ = 16 * 1024  # bytes; parsing that many in the smallest pieces takes some milliseconds
_NO_BODY = (204, 304)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# The head of Linux's struct tcp_info, up to tcpi_last_data_recv (milliseconds).
_TCP_INFO = struct.Struct("52x I")
GIVEN_UP_S = 0.5  # programs are told to wait longer for an answer


class BadRequest(Exception):
    """What came is nothing that a service could be asked; `status` is the answer to it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class HttpStream(asyncio.StreamReaderProtocol):
    """One connection of a program. Receiving stops while enough bytes wait to be read.

    transport: there once connected. listens: whether the program's side is open, as far as seen.
    """

    transport: asyncio.Transport

    def __init__(self, limits: Limits, connected: Callable[["HttpStream"], None]) -> None:
        self._reader = asyncio.StreamReader(_READ)
        super().__init__(self._reader, self._begin)
        self.listens = True
        self._limits = limits
        self._connected = connected
        self._http = h11.Connection(h11.SERVER, limits.http_header_bytes)
        self._has_body = True

    def _begin(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(writer.transport, asyncio.Transport)
        self._writer = writer
        self.transport = writer.transport
        self._connected(self)

    def eof_received(self) -> bool:
        self.listens = False
        return bool(super().eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self.listens = False
        super().connection_lost(exc)

    async def is_given_up(self) -> bool:
        """Whether the program hung up while what it sent waited for us. One that only says that it
        sends nothing more looks the same, but is read at once."""
        await asyncio.sleep(0)  # the end may have come along with the request
        return not self.listens and self.waited_s > GIVEN_UP_S

    @property
    def waited_s(self) -> float:
        """Seconds since the kernel got the last of what the program sent."""
        connection = self.transport.get_extra_info("socket")
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        return _TCP_INFO.unpack(info)[0] / 1000

    @property
    def may_go_on(self) -> bool:
        """Whether another request may come on this connection."""
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def next_request(self) -> HttpRequest | None:
        """Return the next request, None when the connection ends first. Raises BadRequest."""
        if self.may_go_on:
            self._http.start_next_cycle()
        try:
            head = await self._event()
            return _request(head, await self._body(head))
        except h11.RemoteProtocolError as error:
            raise BadRequest(error.error_status_hint, str(error)) from error
        except ConnectionError:
            return None

    async def respond(self, response: HttpResponse) -> None:
        """Send a response; nothing to a program that is gone."""
        body = b"" if response.body is None else json.dumps(response.body).encode()
        headers = dict(response.headers)
        if body:
            headers["Content-Type"] = "application/json"
        if response.status not in _NO_BODY:
            headers["Content-Length"] = str(len(body))
        await self._send(h11.Response(status_code=response.status, headers=[*headers.items()]))
        if self._has_body and response.status not in _NO_BODY:
            await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def refuse(self, status: int) -> None:
        """Answer a bad request, and close once the program has seen that."""
        with contextlib.suppress(OSError):  # it need not wait for the answer
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self.respond(HttpResponse(status, headers={"Connection": "close"}))
                self._writer.write_eof()
        await self.discard()

    async def discard(self) -> None:
        """Take what comes and throw it away, until the program closes the connection."""
        try:
            while await self._read():
                pass
        except ConnectionError:
            return

    def reset(self) -> None:
        """Break the connection off, as a machine does on which nobody listens."""
        if self.transport.is_closing():
            return
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    async def _body(self, head: h11.Request) -> bytes:
        self._has_body = head.method != b"HEAD"
        if head.method == b"CONNECT":
            raise BadRequest(405, "CONNECT")
        most = self._limits.http_body_bytes
        announced = dict(head.headers).get(b"content-length", b"0")
        body = bytearray()
        while int(announced) <= most and len(body) <= most:
            event = await self._event()
            if not isinstance(event, h11.Data):
                return bytes(body)
            body += event.data
        raise BadRequest(413, f"a body of more than {most} bytes")

    async def _event(self) -> Any:
        """Return h11's next event. Raises ConnectionError when the connection ends first."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            data = await self._read()
            if not data:
                raise ConnectionResetError("the connection is closed")
            self._http.receive_data(data)
        return event

    async def _read(self) -> bytes:
        """Return what comes next, after everybody else had a turn; nothing at the end."""
        await asyncio.sleep(0)
        return await self._reader.read(_READ)

    async def _send(self, event: Any) -> None:
        data = self._http.send(event)
        if data and not self.transport.is_closing():
            self._writer.write(data)
            await self._writer.drain()


def _request(head: h11.Request, data: bytes) -> HttpRequest:
    target = urlsplit(head.target.decode("ascii"))
    path = unquote(target.path)
    if "\0" in path:
        raise BadRequest(400, "the character 0 in the path")
    headers: dict[str, str] = {}
    for name, value in head.headers:
        known, text = name.decode("ascii"), value.decode("latin-1")
        headers[known] = f"{headers[known]}, {text}" if known in headers else text
    try:
        body = read_json(data)
    except ValueError as error:
        raise BadRequest(400, f"a body that is no JSON: {error}") from error
    return HttpRequest(head.method.decode("ascii"), path, target.query, headers, body)
