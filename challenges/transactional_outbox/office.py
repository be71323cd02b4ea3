"""The back office, played by the grader: it changes bookings in transactions of its own."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from graders.conditions import Condition
from graders.facts import Output
from graders.lab import Lab
from graders.sink import connect

BOOK = """
    insert into public.bookings (booking, version, seats) values (%(booking)s, 1, %(seats)s)
    on conflict (booking) do update set version = bookings.version + 1, seats = excluded.seats
    returning version
"""
NOTE = """
    insert into public.outbox (id, change_id, booking, version, seats, created_at)
    values (%(id)s, %(change_id)s, %(booking)s, %(version)s, %(seats)s, now() - %(age)s)
"""
NOW = timedelta(0)


@dataclass(frozen=True)
class Change:
    """A version that the office gave a booking."""

    booking: str
    version: int

    @property
    def published(self) -> Condition:
        """Its event is in the topic."""
        return published(self.booking, self.version)


def published(booking: str, version: int) -> Condition:
    """An event of a booking's version is in the topic."""
    told = {"booking": booking, "version": version}
    return Condition(
        f"version {version} of {booking} to be published",
        lambda h: any(
            isinstance(o.value, dict) and o.value.items() >= told.items() for o in h.of(Output)
        ),
    )


class Office:
    """The back office in one scenario; when its block ends, what it left open is rolled back."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Office":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._open.aclose()

    async def begin(self) -> "Transaction":
        """Begin a transaction: from now on it has the id and the time that its row will have."""
        connection = await self._open.enter_async_context(await connect(self._lab.database))
        transaction = Transaction(self._lab, connection)
        await transaction.begin()
        return transaction

    async def change(self, booking: str, seats: int, age: timedelta = NOW) -> Change:
        """Change a booking and commit at once; `age` is how old its row says that it is."""
        transaction = await self.begin()
        change = await transaction.change(booking, seats, age)
        await transaction.end("commit")
        return change

    async def take(self, booking: str, seats: int) -> None:
        """Change a booking as soon as it is free; nothing when the story ends before."""
        with contextlib.suppress(psycopg.Error):
            await self.change(booking, seats)


class Transaction:
    """A transaction of the back office, with one change; made by `Office.begin`."""

    def __init__(self, lab: Lab, connection: psycopg.AsyncConnection[dict[str, Any]]) -> None:
        self._lab = lab
        self._connection = connection
        self._id = 0

    async def begin(self) -> None:
        """Begin, and draw the id."""
        await self._connection.execute("begin")
        drawn = await self._connection.execute("select nextval('public.outbox_id_seq') as id")
        self._id = (await drawn.fetchone() or {})["id"]

    async def change(self, booking: str, seats: int, age: timedelta = NOW) -> Change:
        """Change a booking; this waits while another transaction has it in hand."""
        told = {"id": self._id, "booking": booking, "seats": seats, "age": age}
        told["change_id"] = f"off-{self._lab.rng.getrandbits(48):012x}"
        row = await (await self._connection.execute(BOOK, told)).fetchone()
        assert row is not None
        await self._connection.execute(NOTE, told | row)
        return Change(booking, row["version"])

    async def commit(self) -> None:
        """Commit, and tell so."""
        self._lab.tell(f"The back office commits its transaction with id {self._id}.")
        await self.end("commit")

    async def rollback(self) -> None:
        """Roll back, and tell so; the id that was drawn is gone."""
        self._lab.tell(f"The back office rolls back its transaction with id {self._id}.")
        await self.end("rollback")

    async def end(self, how: str) -> None:
        """End it by this statement, and its connection."""
        await self._connection.execute(how)
        await self._connection.close()


@contextlib.asynccontextmanager
async def elsewhere(lab: Lab) -> AsyncIterator[None]:
    """A transaction in another database of the same server is open until the block ends."""
    other = await psycopg.AsyncConnection.connect(lab.database.admin_dsn, dbname="postgres")
    async with other:
        await other.execute("select pg_current_xact_id()")
        lab.tell("A transaction begins in another database of the server.")
        yield
