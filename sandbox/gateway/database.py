"""A program's connections to its database: bytes both ways, who opened which, and faults on what it
says and on what tells it of its commits."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from sandbox.gateway.database_messages import (
    READY_SIZE,
    CommitScanner,
    StatementReader,
    would_read,
    would_save,
)
from sandbox.gateway.exchange import CutOff
from sandbox.gateway.faults import Fate, Fault, Faults

COMMITS = "commit in the database"
STATEMENTS = "statement to the database"


@dataclass(frozen=True)
class CommitMatch:
    """A match of answers that tell of a commit."""

    instance: str | None
    targets = (COMMITS,)

    def accepts(self, instance: str, request: bytes) -> bool:
        return self.instance in (None, instance)

    def __str__(self) -> str:
        return COMMITS


class Said(NamedTuple):
    """Statements, and the state of the session in which they were said."""

    statements: Sequence[bytes]
    state: bytes


@dataclass(frozen=True)
class SavingMatch:
    """A match of what would make something durable: a COMMIT, or a statement outside of a
    transaction that may write."""

    instance: str | None
    targets = (STATEMENTS,)

    def accepts(self, instance: str, request: Said) -> bool:
        return self.instance in (None, instance) and would_save(*request)

    def __str__(self) -> str:
        return "what would be saved in the database"


@dataclass(frozen=True)
class ReadingMatch:
    """A match of statements that read a table (None: any)."""

    instance: str | None
    table: str | None
    targets = (STATEMENTS,)

    def accepts(self, instance: str, request: Said) -> bool:
        return self.instance in (None, instance) and would_read(request.statements, self.table)

    def __str__(self) -> str:
        return f"what reads the table {self.table}" if self.table else "what reads tables"


class Way:
    """Faults on what one instance and its database say on one connection."""

    def __init__(self, faults: Faults, instance: str) -> None:
        self.state = b""
        self._faults = faults
        self._instance = instance

    def choose(self, target: str, what: Any) -> list[Fault]:
        """The faults that choose what is at hand. Raises CutOff."""
        return [f for f in self._faults.armed(target) if f.chooses(self._instance, what)]

    async def act(self, fault: Fault) -> Fate:
        """Let a fault act on it. Raises CutOff."""
        return await fault.act(self._instance, str(fault.match))


class End(asyncio.Protocol):
    """One end of a connection; what comes in goes out at the other end.

    transport: there once connected. lost: done once the connection is over.
    """

    transport: asyncio.Transport

    def __init__(self, connected: Callable[["End"], None] | None = None) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connected = connected
        self._other: End | None = None
        self._way: Way | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._waiting = bytearray()  # behind what faults act on
        self._blocked = False  # the other end takes no more for now

    def join(self, other: "End", way: Way) -> None:
        """Send what comes in to `other` from now on, subject to faults."""
        self._other, self._way = other, way
        self._read_if_free()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()
        if self._connected is not None:
            self._connected(self)

    def data_received(self, data: bytes) -> None:
        if self._keeping is None:
            self._take(data)
        else:  # a little still comes in when reading is paused
            self._waiting += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over(exc if isinstance(exc, CutOff) else None)
        if self._keeping is not None:
            self._keeping.cancel()

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other._blocked = True
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other._blocked = False
            self._other._read_if_free()

    def _read_if_free(self) -> None:
        if self._keeping is None and not self._blocked:
            self.transport.resume_reading()

    def _take(self, data: bytes) -> None:
        """Pass on what has come, or let faults keep it."""
        raise NotImplementedError

    def _pass_on(self, data: bytes) -> None:
        assert self._other is not None, "nothing is read before `join`"
        self._other.transport.write(data)

    def _keep(self, faults: Sequence[Fault], data: bytes, behind: bytes = b"") -> None:
        """Let faults act on `data` before it is passed on, and then go on with what is `behind`."""
        self._waiting += behind
        self.transport.pause_reading()
        self._keeping = asyncio.create_task(self._apply(faults, data))

    async def _apply(self, faults: Sequence[Fault], data: bytes) -> None:
        try:
            if await self._fate(faults) is Fate.FORWARD:
                self._go_on(data)
        except Exception as error:
            self._is_over(error)

    async def _fate(self, faults: Sequence[Fault]) -> Fate:
        """What becomes of a message when all these have acted on it."""
        assert self._way is not None
        for fault in faults:
            fate = await self._way.act(fault)
            if fate is Fate.CUT:
                self.transport.abort()
            if fate is not Fate.FORWARD:
                return fate
        return Fate.FORWARD

    def _go_on(self, data: bytes) -> None:
        self._pass_on(data)
        self._keeping = None
        waiting, self._waiting = bytes(self._waiting), bytearray()
        self._take(waiting)
        self._read_if_free()

    def _is_over(self, error: Exception | None = None) -> None:
        if not self.lost.done() and error is not None:
            self.lost.set_exception(error)
        elif not self.lost.done():
            self.lost.set_result(None)


class ProgramEnd(End):
    """The program's end: what it says may be chosen by faults."""

    def __init__(self, connected: Callable[[End], None]) -> None:
        super().__init__(connected)
        self._statements = StatementReader()

    def _take(self, data: bytes) -> None:
        way = self._way
        assert way is not None, "nothing is read before `join`"
        statements = self._statements.read(data) if way.state else []  # before, it is let in
        if faults := way.choose(STATEMENTS, Said(statements, way.state)):
            self._keep(faults, data)
        else:
            self._pass_on(data)


class DatabaseEnd(End):
    """The database's end: each answer that tells of a commit may be chosen by faults."""

    def __init__(self) -> None:
        super().__init__()
        self._commits = CommitScanner()

    def _take(self, data: bytes) -> None:
        assert self._way is not None, "nothing is read before `join`"
        at = 0
        while (at := self._commits.next_commit(data, at)) >= 0:
            self._way.state = self._commits.state
            if faults := self._way.choose(COMMITS, data):
                told = max(at - READY_SIZE, 0)
                self._pass_on(data[:told])
                self._keep(faults, data[told:at], behind=data[at:])
                return
        self._way.state = self._commits.state
        self._pass_on(data)


class DatabaseConnection:
    """Carries one connection until either side ends it or `end` is called."""

    def __init__(self, program: End, database: End, way: Way) -> None:
        self._program = program
        self._database = database
        self._way = way

    @classmethod
    async def open(cls, program: End, address: tuple[str, int], way: Way) -> "DatabaseConnection":
        """Connect to the database for a program that has connected to us. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, database = await loop.create_connection(DatabaseEnd, *address)
        return cls(program, database, way)

    @property
    def client_port(self) -> int:
        """The port that the database sees this connection come from."""
        return self._database.transport.get_extra_info("sockname")[1]

    async def run(self) -> str:
        """Carry the connection to its end; return how it ended. Raises CutOff."""
        program, database = self._program, self._database
        program.join(database, self._way)
        database.join(program, self._way)
        try:
            await asyncio.wait((program.lost, database.lost), return_when=asyncio.FIRST_COMPLETED)
            for end in (program, database):
                if end.lost.done():
                    end.lost.result()
            return "from the program's side" if program.lost.done() else "by the database"
        finally:
            program.transport.close()
            database.transport.close()

    def end(self) -> None:
        """Break the connection on both sides at once, whatever is under way."""
        self._program.transport.abort()
        self._database.transport.abort()
