"""The sink against a real database: what is seen, held and failed, as the program meets it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from challenges.catalogue import load
from graders.facts import Effect, Fault, Marked
from graders.history import Recorder
from graders.sink import Sink, open_sink
from graders.spec import Challenge
from sandbox.postgres import Database, DatabaseServer, lend_database
from tests.graders.challenge import challenge as a_challenge

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

BOOKS = a_challenge()
OUTBOX = load("transactional_outbox")
BOOK = "insert into ledger (event_id, account, amount) values (%s, 'acc-1', 10)"


@asynccontextmanager
async def opened(
    server: DatabaseServer, challenge: Challenge = BOOKS
) -> AsyncIterator[tuple[Sink, Callable[..., Any]]]:
    """A sink on a fresh database of a challenge, and how its program connects."""
    async with lend_database(server, challenge.schema_sql) as database:
        sessions: list[psycopg.AsyncConnection[Any]] = []

        async def connect(autocommit: bool = True) -> psycopg.AsyncConnection[Any]:
            sessions.append(await program(database, autocommit))
            return sessions[-1]

        async with open_sink(Recorder(), database, challenge, lambda port: "app") as sink:
            yield sink, connect
            for session in sessions:
                await session.close()


async def program(database: Database, autocommit: bool) -> psycopg.AsyncConnection[Any]:
    host, port = database.address
    return await psycopg.AsyncConnection.connect(
        host=host,
        port=port,
        user=database.role,
        password=database.password,
        dbname=database.name,
        autocommit=autocommit,
    )


async def seen(sink: Sink, holds: Callable[[], bool]) -> None:
    assert await sink.history.wait_for(lambda history: holds(), within=20)


def ids(sink: Sink) -> list[str]:
    return [effect.id for effect in sink.history.of(Effect)]


async def test_effects_come_in_the_order_of_commits_and_only_when_committed(
    server: DatabaseServer,
):
    async with opened(server) as (sink, connect):
        early, late, lost = [await connect(autocommit=False) for _ in range(3)]
        await early.execute(BOOK, ["early"])
        await late.execute(BOOK, ["late"])
        await lost.execute(BOOK, ["rolled back"])
        await late.commit()
        await lost.rollback()
        before = sink.history.now()
        await early.commit()
        await seen(sink, lambda: len(ids(sink)) == 2)
        assert ids(sink) == ["late", "early"]
        effect = sink.history.last(Effect)
        assert effect.content == {"account": "acc-1", "amount": 10}
        assert effect.instance == "app"
        assert before - 0.05 < effect.committed_t < sink.history.now()
        await sink.record_rest()
        assert len(ids(sink)) == 2


async def test_what_was_there_before_is_told_too(server: DatabaseServer):
    async with opened(server) as (sink, connect):
        rows = [{"event_id": id, "account": "acc-1", "amount": 5} for id in ("old", "older")]
        await sink.fill("ledger", rows)
        assert ids(sink) == ["old", "older"]
        await (await connect()).execute(BOOK, ["new"])
        await seen(sink, lambda: ids(sink) == ["old", "older", "new"])


async def test_times_are_told_in_utc_whatever_zone_the_program_sets(server: DatabaseServer):
    bank = load("event_sourced_account")
    async with (
        lend_database(server, bank.schema_sql) as database,
        open_sink(Recorder(), database, bank, lambda port: "app") as sink,
        await program(database, autocommit=True) as session,
    ):
        await session.execute("set time zone 'Asia/Tokyo'")
        await session.execute(
            "insert into events (account, version, command_id, type, data)"
            " values ('acc-1', 1, 'dep-1', 'deposited', '{\"amount\": 5}')"
        )
        await seen(sink, lambda: ids(sink) == ["dep-1"])
        (row,) = await sink.state(bank.states[0])
        assert row == {**sink.history.of(Effect)[0].content, "command_id": "dep-1"}
        assert row["recorded_at"].endswith("+00:00")


async def test_a_row_is_held_until_it_is_released(server: DatabaseServer):
    async with opened(server) as (sink, connect):
        session = await connect()
        hold = await sink.hold("ledger", row={"event_id": "b"})
        await session.execute(BOOK, ["a"])
        booking = asyncio.create_task(session.execute(BOOK, ["b"]))
        await seen(sink, lambda: hold.held)
        assert (hold.matched, hold.applied) == (1, 1)
        assert not booking.done()
        await hold.release()
        await hold.release()
        await booking
        await seen(sink, lambda: ids(sink) == ["a", "b"])
        whats = [fault.what for fault in sink.history.of(Fault)]
        assert whats == ["armed", "applied", "released"]


async def test_a_commit_is_held_after_its_statement_went_through(server: DatabaseServer):
    async with opened(server) as (sink, connect):
        session = await connect(autocommit=False)
        hold = await sink.hold("ledger", nth=2, at="commit")
        await session.execute(BOOK, ["a"])
        await session.commit()
        await session.execute(BOOK, ["b"])
        committing = asyncio.create_task(session.commit())
        await seen(sink, lambda: hold.held and bool(ids(sink)))
        assert ids(sink) == ["a"]
        await hold.release()
        await committing
        await seen(sink, lambda: ids(sink) == ["a", "b"])


async def test_a_dropped_row_never_appears_although_it_was_on_its_way(server: DatabaseServer):
    async with opened(server) as (sink, connect):
        session = await connect()
        hold = await sink.hold("ledger")
        booking = asyncio.create_task(session.execute(BOOK, ["a"]))
        await seen(sink, lambda: hold.held)
        await hold.drop()
        with pytest.raises(psycopg.OperationalError):
            await booking
        other = await connect()
        await other.execute(BOOK, ["b"])
        await seen(sink, lambda: ids(sink) == ["b"])
        await sink.record_rest()
        assert ids(sink) == ["b"]


async def test_who_waits_for_a_held_transaction_is_seen(server: DatabaseServer):
    async with opened(server) as (sink, connect):
        one, two = await connect(), await connect()
        await one.execute("insert into balances values ('acc-1', 0)")
        hold = await sink.hold("balances", row={"account": "acc-1"})
        add = "update balances set balance = balance + 1 where account = 'acc-1'"
        first = asyncio.create_task(one.execute(add))
        await seen(sink, lambda: hold.held)
        assert not hold.waited_for
        second = asyncio.create_task(two.execute(add))
        await seen(sink, lambda: hold.waited_for)
        await hold.release()
        await asyncio.gather(first, second)
        assert await sink.state(BOOKS.states[0]) == [{"account": "acc-1", "balance": 2}]


@pytest.mark.parametrize("at", ["insert", "commit"])
async def test_a_failure_comes_once_with_the_chosen_code(server: DatabaseServer, at: str):
    async with opened(server) as (sink, connect):
        session = await connect()
        fail = await sink.fail("ledger", "40001", row={"event_id": "a"}, at=at)
        with pytest.raises(psycopg.errors.SerializationFailure):
            await session.execute(BOOK, ["a"])
        await session.execute(BOOK, ["a"])
        await seen(sink, lambda: fail.applied == 1 and ids(sink) == ["a"])


async def test_the_first_change_in_each_table_of_the_programs_own_is_refused(
    server: DatabaseServer,
):
    async with opened(server) as (sink, connect):
        session, other = await connect(), await connect(autocommit=False)
        for table in ("inbox", '"Out""box"', "locked", "unseen"):
            await session.execute(f"create table {table} (id int); insert into {table} values (1)")
        await other.execute("lock table locked")
        refusals = await sink.fail_changes(3)
        assert [r.target for r in refusals] == ['change in Out"box', "change in inbox"]
        await other.rollback()
        await session.execute("insert into inbox values (2)")
        for change in ("update inbox set id = 3", 'delete from "Out""box"'):
            with pytest.raises(psycopg.errors.SerializationFailure):
                await session.execute(change)
            await session.execute(change)
        for change in ("update locked set id = 3", "delete from unseen"):
            await session.execute(change)
        await session.execute(BOOK, ["a"])
        await seen(sink, lambda: all(refusal.applied == 1 for refusal in refusals))


async def test_serializable_programs_meet_no_conflict_of_the_graders_making(
    server: DatabaseServer,
):
    async with opened(server) as (sink, connect):
        one, two = await connect(autocommit=False), await connect(autocommit=False)
        for session, id in ((one, "a"), (two, "b")):
            await session.execute("set transaction isolation level serializable")
            await session.execute(BOOK, [id])
        await one.commit()
        await two.commit()
        await seen(sink, lambda: ids(sink) == ["a", "b"])


@pytest.mark.parametrize(
    "attack",
    [
        "select * from grader.effect_log",
        "delete from grader.effect_log",
        "alter table ledger disable trigger all",
        "set session_replication_role = replica",
        "drop trigger grader_1_log on ledger",
        "select grader.log_effect()",
        "create function grader.f() returns int language sql as 'select 1'",
    ],
)
async def test_a_program_cannot_reach_what_the_grader_knows(server: DatabaseServer, attack: str):
    async with opened(server) as (_, connect):
        session = await connect()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await session.execute(attack)


async def test_a_programs_own_functions_are_never_called_by_the_grader(server: DatabaseServer):
    async with opened(server) as (sink, connect):
        session = await connect()
        await session.execute(
            "create function public.to_jsonb(anyelement) returns jsonb language sql"
            ' as $$ select \'{"event_id": "forged"}\'::jsonb $$'
        )
        await session.execute(BOOK, ["a"])
        await seen(sink, lambda: ids(sink) == ["a"])


async def test_sessions_of_the_program_are_ended_at_once(server: DatabaseServer):
    async with opened(server) as (sink, connect):
        session = await connect(autocommit=False)
        await session.execute(BOOK, ["a"])
        (found,) = await sink.sessions()
        assert found.in_transaction
        began = time.monotonic()
        await sink.end_sessions([found.pid])
        assert await sink.sessions() == []
        assert time.monotonic() - began < 2
        with pytest.raises(psycopg.OperationalError):
            await session.commit()


NOTE = """
    insert into public.outbox (change_id, booking, version, seats, published)
    values (%s, 'bkg-1', %s, 4, %s)
"""


async def test_rows_of_an_outbox_are_seen_with_their_writer_and_their_marks(
    server: DatabaseServer,
):
    async with opened(server, OUTBOX) as (sink, connect):
        program = await connect()
        await program.execute(NOTE, ("cmd-1", 1, False))
        await sink.control.execute(NOTE, ("off-1", 2, False))
        await program.execute(NOTE, ("cmd-2", 3, True))
        await program.execute("update outbox set published = true where version < 3")
        await seen(sink, lambda: len(sink.history.of(Marked)) == 3)
        effects = sink.history.of(Effect)
        assert [(e.id, e.ours) for e in effects] == [
            ("cmd-1", False),
            ("off-1", True),
            ("cmd-2", False),
        ]
        marks = sink.history.of(Marked)
        assert [m.content["version"] for m in marks] == [3, 1, 2]
        assert {m.instance for m in marks} == {"app"}


async def test_a_mark_that_is_rolled_back_is_not_seen(server: DatabaseServer):
    async with opened(server, OUTBOX) as (sink, connect):
        program = await connect(autocommit=False)
        await program.execute(NOTE, ("cmd-1", 1, False))
        await program.commit()
        await program.execute("update outbox set published = true")
        await program.rollback()
        await program.execute(NOTE, ("cmd-2", 2, False))
        await program.commit()
        await seen(sink, lambda: len(ids(sink)) == 2)
        assert sink.history.of(Marked) == []


async def test_what_a_program_notifies_is_no_news_by_itself(server: DatabaseServer):
    async with opened(server) as (sink, connect):
        session = await connect()
        for text in ("nonsense", "", "-1", "7", "9" * 19, "\u0661", "1; select 2"):
            await session.execute("select pg_notify('grader_effects', %s)", [text])
        await session.execute(BOOK, ["pay-1"])
        await seen(sink, lambda: ids(sink) == ["pay-1"])


async def test_the_graders_locks_are_not_to_be_seen(server: DatabaseServer):
    async with opened(server) as (sink, connect):
        await sink.hold("ledger")
        for asking in ("table pg_locks", "select pg_lock_status()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await (await connect()).execute(asking)


async def test_a_table_that_a_program_locks_is_not_waited_for_without_end(
    server: DatabaseServer,
):
    async with opened(server) as (sink, connect):
        session = await connect(autocommit=False)
        await session.execute("lock table balances in access exclusive mode")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await sink.state(BOOKS.states[0])
        await session.rollback()
        assert await sink.state(BOOKS.states[0]) == []
