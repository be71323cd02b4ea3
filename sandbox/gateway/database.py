"""A program's connections to its database: bytes both ways, who opened which, and faults on what
tells a program of its commits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

from sandbox.gateway.database_commits import READY_SIZE, CommitScanner
from sandbox.gateway.faults import Fate, Fault, Faults

COMMITS = "commit in the database"


@dataclass(frozen=True)
class CommitMatch:
    """A match of the commits of transactions that wrote rows."""

    instance: str | None

    @property
    def targets(self) -> tuple[str, ...]:
        return (COMMITS,)

    def accepts(self, instance: str, request: None) -> bool:
        return self.instance in (None, instance)

    def __str__(self) -> str:
        return COMMITS


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


class ServerEnd(End):
    """The database's end. Each commit that it tells of may be chosen by faults; what it says from
    there on waits until they have acted.

    choose: the faults that choose the commit at hand. act: lets one act. Either may raise CutOff.
    """

    def __init__(
        self,
        choose: Callable[[], Sequence[Fault]],
        act: Callable[[Fault], Awaitable[Fate]],
    ) -> None:
        super().__init__()
        self._choose = choose
        self._act = act
        self._commits = CommitScanner()
        self._acting: asyncio.Task[None] | None = None
        self._waiting = bytearray()  # behind a commit on which faults act

    def data_received(self, data: bytes) -> None:
        if self._acting is None:
            self._pass_on(data)
        else:
            self._waiting += data
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._acting is not None:
            self._acting.cancel()

    def _pass_on(self, data: bytes) -> None:
        at = 0
        while (at := self._commits.next_commit(data, at)) >= 0:
            if faults := self._choose():
                told = max(at - READY_SIZE, 0)
                super().data_received(data[:told])
                self._waiting += data[at:]
                self.transport.pause_reading()
                self._acting = asyncio.create_task(self._keep(data[told:at], faults))
                return
        super().data_received(data)

    async def _keep(self, answer: bytes, faults: Sequence[Fault]) -> None:
        """Let the faults act; then hand out the answer, and go on."""
        try:
            for fault in faults:
                fate = await self._act(fault)
                if fate is Fate.CUT:
                    self.transport.abort()
                if fate is not Fate.FORWARD:
                    return
        except Exception as error:
            self._fail(error)
            return
        super().data_received(answer)
        self._acting = None
        waiting, self._waiting = bytes(self._waiting), bytearray()
        self._pass_on(waiting)
        if self._acting is None:
            self.transport.resume_reading()

    def _fail(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)


class DatabaseConnection:
    """Carries one connection until either side ends it or `end` is called."""

    def __init__(self, program: End, database: End) -> None:
        self._program = program
        self._database = database

    @classmethod
    async def open(
        cls, instance: str, program: End, address: tuple[str, int], faults: Faults
    ) -> "DatabaseConnection":
        """Connect to the database for a program that has connected to us. Raises OSError."""

        def choose() -> list[Fault]:
            return [f for f in faults.armed(COMMITS) if f.chooses(instance, None)]

        def act(fault: Fault) -> Awaitable[Fate]:
            return fault.act(instance, COMMITS)

        _, database = await asyncio.get_running_loop().create_connection(
            lambda: ServerEnd(choose, act), *address
        )
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
            if database.lost.done():
                database.lost.result()
            return "from the program's side" if program.lost.done() else "by the database"
        finally:
            program.transport.close()
            database.transport.close()

    def end(self) -> None:
        """Break the connection on both sides at once, whatever is under way."""
        self._program.transport.abort()
        self._database.transport.abort()
