"""The outside world where effects land: the program's database, watched and disturbed.

Triggers that belong to the grader log every effect in the program's own transaction and apply the
armed faults (`sink.sql`). The log is pushed by LISTEN/NOTIFY in the order of commits. While a fault
is armed, a monitor asks every 15 ms what it holds: a transaction that is being held cannot notify.
"""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from graders.history import Recorder
from graders.spec import Challenge, EffectTable, OutboxSpec, StateTable
from sandbox.postgres import Database

MONITOR_S = 0.015
END_SESSIONS_S = 2.0
LONGEST_NUMBER = 18  # digits that surely fit into a bigint
# Program tables are named with their schema, and nothing the program made may be found first. Times
# are told as the trigger tells them, whatever zone the program sets.
# A program may lock its tables for ever; the grader does not wait that long.
SAFE = "-c search_path=pg_catalog -c timezone=UTC -c lock_timeout=5s"

EFFECTS = """
    select seq, kind, "table", "row", txid::text, port,
           extract(epoch from pg_xact_commit_timestamp(txid::xid))::float8 as committed_at
    from grader.effect_log where {which} order by {order}
"""
MONITOR = """
    with recursive waits as (
        select a.pid, b.pid as behind
        from pg_stat_activity a cross join unnest(pg_blocking_pids(a.pid)) as b(pid)
        where a.datname = current_database() and a.wait_event_type = 'Lock'
      union
        select w.pid, c.behind
        from waits w cross join unnest(pg_blocking_pids(w.behind)) as c(behind)
    )
    select f.id, coalesce(pg_sequence_last_value(('grader.matches_' || f.id)::regclass), 0) as
    matched,
           coalesce(array_agg(l.pid) filter (where l.pid is not null), '{}') as pids,
           coalesce(bool_or(l.pid in (select behind from waits)), false) as waited_for
    from grader.fault f
    left join pg_locks l on l.locktype = 'advisory' and not l.granted
        and l.classid = f.lock_key::oid and l.objid = f.id::oid
        and l.database = (select oid from pg_database where datname = current_database())
    group by f.id
"""
OWN_TABLES = """
    select c.relname as name from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
      and c.relowner = (select oid from pg_roles where rolname = %s)
    order by c.relname limit %s
"""
SESSIONS = """
    select pid, client_port, state, xact_start is not null as in_transaction
    from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend'
      and client_port is not null and client_port > 0
"""


@dataclass
class SinkFault:
    """A fault in the database, on rows of one table.

    `matched` counts rows that matched, `applied` those that were held or failed; `held` is whether
    one is being held right now, `waited_for` whether another session waits for that transaction.
    """

    id: str
    action: str
    target: str
    sink: "Sink"
    number: int
    row: Mapping[str, Any]
    first: int
    last: int
    matched: int = 0
    applied: int = 0
    waited_for: bool = False
    pids: frozenset[int] = frozenset()
    over: bool = False

    @property
    def held(self) -> bool:
        """Whether a row is being held right now."""
        return bool(self.pids)

    @property
    def spent(self) -> bool:
        """Whether it has acted as often as it may."""
        return self.applied > self.last - self.first

    @property
    def holds(self) -> bool:
        """Whether this fault holds rather than fails."""
        return self.action == "hold"

    async def release(self) -> None:
        """Let what is held go on; later matches are not held any more."""
        await self.sink.end(self, "released")

    async def drop(self) -> None:
        """Abort what is held as a crash would: its connections end. Later matches pass."""
        await self.sink.end(self, "dropped")

    async def cancel(self) -> None:
        """Disarm; what is held goes on."""
        await self.sink.end(self, "cancelled")

    def note(self, what: str) -> None:
        """Record what became of the fault."""
        self.sink.history.append(
            "fault",
            fault=self.id,
            what=what,
            action=self.action,
            target=self.target,
            row=dict(self.row),
        )


@dataclass
class Session:
    """A connection of the program to its database, seen from the server."""

    pid: int
    instance: str | None
    in_transaction: bool


@dataclass
class Sink:
    """The program's database under the grader's control; made by `open_sink`."""

    history: Recorder
    control: psycopg.AsyncConnection[dict[str, Any]]
    role: str  # the program's
    instance_of: Callable[[int], str | None]
    tables: Mapping[str, EffectTable]
    epoch_offset: float
    lock_key: int = field(default_factory=lambda: secrets.randbelow(2**31))
    faults: list[SinkFault] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _armed: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(
        self,
        table: str,
        *,
        row: Mapping[str, Any] | None = None,
        nth: int = 1,
        times: int = 1,
        at: str = "insert",
    ) -> SinkFault:
        """Hold the nth matching row (and the `times - 1` after it) until `release` or `drop`.

        A row matches when it is inserted or updated and has the values of `row`
        (`{"event_id": sent[3].id}`). It is written by then, so its locks are taken. `at="commit"`
        lets the statement pass and holds the COMMIT of its transaction.
        """
        return await self._arm("hold", table, row or {}, nth, times, at, sqlstate=None)

    async def fail(
        self,
        table: str,
        sqlstate: str = "40001",
        *,
        row: Mapping[str, Any] | None = None,
        nth: int = 1,
        times: int = 1,
        at: str = "insert",
    ) -> SinkFault:
        """Fail the nth matching row (and the `times - 1` after it) with that SQLSTATE; `row` and
        `at` as for `hold`."""
        return await self._arm("fail", table, row or {}, nth, times, at, sqlstate)

    async def fail_changes(self, most: int) -> list[SinkFault]:
        """Fail the first update or deletion of a row in each of the program's own tables, `most` of
        them by name. A table that the program has dropped, or keeps locked, is left out."""
        found = await (await self.control.execute(OWN_TABLES, (self.role, most))).fetchall()
        return [
            await self._arm("fail", row["name"], {}, 1, 1, "change", sqlstate="40001")
            for row in found
            if await self._watch_changes(row["name"])
        ]

    async def _watch_changes(self, table: str) -> bool:
        """Put the trigger on a table of the program's own; whether that could be done."""
        try:
            await self.control.execute(change_trigger(table))
        except (psycopg.errors.UndefinedTable, psycopg.errors.LockNotAvailable):
            return False
        return True

    async def _arm(
        self,
        action: str,
        table: str,
        row: Mapping[str, Any],
        nth: int,
        times: int,
        at: str,
        sqlstate: str | None,
    ) -> SinkFault:
        number = len(self.faults) + 1
        what = {"insert": "write to", "commit": "COMMIT of", "change": "change in"}[at]
        which = "".join(f" with {name} {value}" for name, value in row.items())
        verb = "hold" if sqlstate is None else f"fail {sqlstate}"
        fault = SinkFault(
            f"s{number}", verb, f"{what} {table}{which}", self, number, row, nth, nth + times - 1
        )
        await self.control.execute(f"create sequence grader.matches_{number}")
        if fault.holds:
            await self.control.execute("select pg_advisory_lock(%s, %s)", (self.lock_key, number))
        await self.control.execute(
            "insert into grader.fault values (%s, %s, %s, %s, %s, %s, %s, %s)",
            (number, table, at, json.dumps(row), nth, fault.last, self.lock_key, sqlstate),
        )
        self.faults.append(fault)
        fault.note("armed")
        self._armed.set()
        return fault

    async def end(self, fault: SinkFault, what: str) -> None:
        """End a fault (`what`: released, dropped, cancelled); the second time nothing happens."""
        if fault.over:
            return
        await self.look()
        fault.over = True
        await self.control.execute("delete from grader.fault where id = %s", (fault.number,))
        if what == "dropped":
            await self.end_sessions(fault.pids)
        fault.note(what)
        fault.pids, fault.waited_for = frozenset(), False
        if fault.holds:
            await self.control.execute(
                "select pg_advisory_unlock(%s, %s)", (self.lock_key, fault.number)
            )

    async def monitor(self) -> None:
        """Keep the faults' counts true while any is armed; runs until it is cancelled."""
        while True:
            await self._armed.wait()
            if not await self.look():
                self._armed.clear()
            await asyncio.sleep(MONITOR_S)

    async def look(self) -> bool:
        """Bring the faults' counts up to date; whether any can still change."""
        rows = await (await self.control.execute(MONITOR)).fetchall()
        for row in rows:
            fault = self.faults[row["id"] - 1]
            if not fault.over:
                self._update(fault, row["matched"], frozenset(row["pids"]), row["waited_for"])
        # A hold counts its match a moment before it waits, so it is looked at until it is over.
        return any(not f.over and (f.holds or f.matched < f.last) for f in self.faults)

    def _update(
        self, fault: SinkFault, matched: int, pids: frozenset[int], waited_for: bool
    ) -> None:
        before = (fault.matched, fault.pids, fault.waited_for)
        applied = max(0, min(matched, fault.last) - fault.first + 1)
        fault.matched, fault.pids, fault.waited_for = matched, pids, waited_for
        while fault.applied < applied:
            fault.applied += 1
            fault.note("applied")
        if before != (matched, pids, waited_for):
            self.history.touch()

    async def fill(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, as somebody else did before the program was started; all have the same
        columns. In an effect table they are recorded like any other, as `ours`."""
        statement = sql.SQL(
            "insert into public.{table} ({columns})"
            " select {columns} from jsonb_populate_recordset(null::public.{table}, %s::jsonb)"
        ).format(
            table=sql.Identifier(table), columns=sql.SQL(", ").join(map(sql.Identifier, rows[0]))
        )
        await self.control.execute(statement, (json.dumps([dict(row) for row in rows]),))
        await self.record_rest()

    async def sessions(self) -> list[Session]:
        """The program's connections, with the instance that each belongs to."""
        rows = await (await self.control.execute(SESSIONS)).fetchall()
        return [
            Session(row["pid"], self.instance_of(row["client_port"]), row["in_transaction"])
            for row in rows
        ]

    async def end_sessions(self, pids: Iterable[int]) -> None:
        """End connections as the crash of their client does; returns when they are gone."""
        wanted = list(pids)
        deadline = time.monotonic() + END_SESSIONS_S
        while wanted and time.monotonic() < deadline:
            rows = await (
                await self.control.execute(
                    "select pid, pg_terminate_backend(pid) from pg_stat_activity"
                    " where pid = any(%s)",
                    (wanted,),
                )
            ).fetchall()
            if not rows:
                return
            await asyncio.sleep(0.005)

    async def listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Record effects as their transactions commit; runs until it is cancelled."""
        while True:  # one round for all notifications that came together
            notes = [note async for note in connection.notifies(stop_after=1)]
            await self.record(numbers_in(note.payload for note in notes))

    async def record(self, numbers: Iterable[int]) -> None:
        """Record these rows of the log, in this order, those that are not recorded yet."""
        wanted = [n for n in numbers if n not in self._seen]
        query = EFFECTS.format(which="seq = any(%s)", order="array_position(%s, seq)")
        rows = await (await self.control.execute(query, (wanted, wanted))).fetchall()
        for row in rows:
            self._effect(row)

    async def record_rest(self) -> None:
        """Record what the log holds and no notification told of yet, by time of commit."""
        query = EFFECTS.format(which="true", order="committed_at, seq")
        for row in await (await self.control.execute(query)).fetchall():
            self._effect(row)

    def _effect(self, row: Mapping[str, Any]) -> None:
        if row["seq"] in self._seen:
            return
        self._seen.add(row["seq"])
        table = self.tables[row["table"]]
        told = {
            "table": table.table,
            "id": str(row["row"][table.id]),
            "content": {name: row["row"][name] for name in table.content},
            "instance": self.instance_of(row["port"]) if row["port"] else None,
            "committed_t": round(row["committed_at"] - self.epoch_offset, 6),
        }
        if row["kind"] == "effect":
            # Only the grader itself connects without a port.
            ours = row["port"] is None
            self.history.append("effect", row=row["seq"], txid=row["txid"], ours=ours, **told)
        else:
            self.history.append("marked", **told)

    async def state(self, table: StateTable) -> list[dict[str, Any]]:
        """The rows of a state table: its key and value columns, as JSON has them. Raises
        psycopg.errors.LockNotAvailable when a session keeps the table locked for 5 s."""
        columns = sql.SQL(", ").join(map(sql.Identifier, (*table.key, *table.values)))
        query = sql.SQL("select to_jsonb(r) as row from (select {} from public.{}) r").format(
            columns, sql.Identifier(table.table)
        )
        return [r["row"] for r in await (await self.control.execute(query)).fetchall()]


def numbers_in(payloads: Iterable[str]) -> list[int]:
    """The rows of the log that notifications tell of. Programs may notify too, of anything: what is
    no number of a row is passed over, and a number without a row finds nothing."""
    return [int(p) for p in payloads if p.isascii() and p.isdigit() and len(p) <= LONGEST_NUMBER]


@contextlib.asynccontextmanager
async def open_sink(
    history: Recorder,
    database: Database,
    challenge: Challenge,
    instance_of: Callable[[int], str | None],
) -> AsyncIterator[Sink]:
    """Put the grader's triggers into a fresh database and watch it until the block ends.

    Any failure of the watchers cancels the block and comes out of it.
    """
    async with await connect(database) as control, await connect(database) as listener:
        await install(control, challenge)
        await listener.execute("listen grader_effects")
        sink = Sink(
            history,
            control,
            database.role,
            instance_of,
            {effect.table: effect for effect in challenge.effect_tables},
            time.time() - history.now(),
        )
        async with asyncio.TaskGroup() as tasks:
            watchers = [
                tasks.create_task(sink.listen(listener)),
                tasks.create_task(sink.monitor()),
            ]
            yield sink
            for watcher in watchers:
                watcher.cancel()


async def connect(database: Database) -> psycopg.AsyncConnection[dict[str, Any]]:
    """The grader's own connection, in autocommit mode."""
    return await psycopg.AsyncConnection.connect(
        database.admin_dsn, autocommit=True, options=SAFE, row_factory=dict_row
    )


async def install(control: psycopg.AsyncConnection[Any], challenge: Challenge) -> None:
    """Create the grader's schema and put its triggers on the challenge's tables."""
    await control.execute(resources.files("graders").joinpath("sink.sql").read_text("utf-8"))
    effects = {effect.table for effect in challenge.effect_tables}
    for table in effects | {state.table for state in challenge.states}:
        await control.execute(triggers(table, is_effect=table in effects))
    if challenge.outbox:
        await control.execute(mark_trigger(challenge.outbox))


def triggers(table: str, *, is_effect: bool) -> sql.Composed:
    """The statements that put the triggers on a table. They fire in the order of their names."""
    log = "create trigger grader_1_log after insert on public.{table} for each row execute function"
    faults = (
        "create trigger grader_2_faults after insert or update on public.{table}"
        " for each row execute function grader.apply_faults('insert');"
        "create constraint trigger grader_3_faults after insert or update on public.{table}"
        " deferrable initially deferred"
        " for each row execute function grader.apply_faults('commit')"
    )
    statements = (f"{log} grader.log_effect('effect');" if is_effect else "") + faults
    return sql.SQL(statements).format(table=sql.Identifier(table))


def change_trigger(table: str) -> sql.Composed:
    """The statement that puts the trigger for changes on a table of the program's own. While it
    waits for the table's writers, others wait for it: not longer than a statement ever may."""
    statement = sql.SQL(
        "begin perform set_config('lock_timeout', '1s', true);"
        " create or replace trigger grader_1_change after update or delete on public.{table}"
        " for each row execute function grader.apply_own_faults(); end"
    ).format(table=sql.Identifier(table))
    return sql.SQL("do {}").format(sql.Literal(statement.as_string(None)))


def mark_trigger(outbox: OutboxSpec) -> sql.Composed:
    """The statement that puts the trigger for marked rows on an outbox."""
    statement = (
        "create trigger grader_1_mark after insert or update of {mark} on public.{table}"
        " for each row when (new.{mark}) execute function grader.log_effect('marked')"
    )
    return sql.SQL(statement).format(
        mark=sql.Identifier(outbox.mark), table=sql.Identifier(outbox.table)
    )
