"""A program's connections to its database: bytes both ways, and who opened which."""

import asyncio
from collections.abc import Callable
from typing import cast


class End(asyncio.Protocol):
    """One end of a connection; what comes in goes out at the other end.

    transport: there once connected. lost: done once the connection is over.
    """

    transport: asyncio.Transport

    def __init__(self, connected: Callable[["End"], None] | None = None) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connected = connected
        self._other: End | None = None

    def join(self, other: "End") -> None:
        """Send what comes in to `other` from now on."""
        self._other = other
        self.transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()
        if self._connected is not None:
            self._connected(self)

    def data_received(self, data: bytes) -> None:
        assert self._other is not None, "nothing is read before `join`"
        self._other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.transport.resume_reading()


class DatabaseConnection:
    """Carries one connection until either side ends it or `end` is called."""

    def __init__(self, program: End, database: End) -> None:
        self._program = program
        self._database = database

    @classmethod
    async def open(cls, program: End, address: tuple[str, int]) -> "DatabaseConnection":
        """Connect to the database for a program that has connected to us. Raises OSError."""
        _, database = await asyncio.get_running_loop().create_connection(End, *address)
        return cls(program, database)

    @property
    def client_port(self) -> int:
        """The port that the database sees this connection come from."""
        return self._database.transport.get_extra_info("sockname")[1]

    async def run(self) -> str:
        """Carry the connection to its end; return how it ended."""
        program, database = self._program, self._database
        program.join(database)
        database.join(program)
        try:
            await asyncio.wait((program.lost, database.lost), return_when=asyncio.FIRST_COMPLETED)
            return "from the program's side" if program.lost.done() else "by the database"
        finally:
            program.transport.close()
            database.transport.close()

    def end(self) -> None:
        """Break the connection on both sides at once, whatever is under way."""
        self._program.transport.abort()
        self._database.transport.abort()
