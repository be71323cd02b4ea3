"""The PostgreSQL server of a submission, and the databases that it lends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from sandbox.home import home
from sandbox.postgres import Database, DatabaseServer, database_server, lend_database, lending
from sandbox.process import Identity, SandboxError, all_in, sweep
from tests.sandbox.waiting import freeze
from tests.shared_memory import segments_of

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="module")]

SCHEMA = """
CREATE TABLE ledger (entry bigserial PRIMARY KEY, event_id text NOT NULL);
GRANT SELECT, INSERT ON ledger TO :program;
GRANT USAGE ON ledger_entry_seq TO :program;
COMMENT ON TABLE ledger IS 'a cast such as 1::program is no name';
"""
BUSY = "SELECT count(*) FROM generate_series(1, 1000000000000)"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[DatabaseServer]:
    """One for all tests that leave it as it was."""
    server = await DatabaseServer.start()
    yield server
    await server.kill()


@pytest_asyncio.fixture(loop_scope="module")
async def fresh() -> AsyncIterator[DatabaseServer]:
    server = await DatabaseServer.start()
    yield server
    await server.kill()


def log_in(database: Database, **changes: str) -> psycopg.Connection:
    host, port = database.address
    as_lent = {"user": database.role, "password": database.password, "dbname": database.name}
    return psycopg.connect(host=host, port=port, autocommit=True, **as_lent | changes)


async def names_in(server: DatabaseServer, query: str) -> set[str]:
    async with await server.connect() as connection:
        return {name for (name,) in await (await connection.execute(query)).fetchall()}


async def lent_names(server: DatabaseServer) -> set[str]:
    roles = await names_in(server, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'run%'")
    query = "SELECT datname FROM pg_database WHERE datname LIKE 'run%'"
    return roles | await names_in(server, query)


async def keep_busy(server: DatabaseServer, database: Database) -> None:
    """Return once a session of the program computes for ever and looks at nothing else."""
    log_in(database).pgconn.send_query(BUSY.encode())
    query = f"SELECT 'busy' FROM pg_stat_activity WHERE query = '{BUSY}' AND state = 'active'"
    while not await names_in(server, query):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


async def test_no_two_share_a_server_and_nothing_is_left_of_one():
    one, other = await DatabaseServer.start(), await DatabaseServer.start()
    assert one.address != other.address and segments_of(one.pid) == 1
    workers = list(all_in(one.data))
    await one.kill()
    assert not one.alive and not one.folder.exists()
    assert not any(worker.alive for worker in workers)
    assert await other.answers(within=5)
    await other.kill()
    assert segments_of(one.pid) == segments_of(other.pid) == 0


async def test_one_program_that_holds_every_lock_leaves_the_next_its_own(fresh: DatabaseServer):
    other = await DatabaseServer.start()
    async with lend_database(fresh, "") as mine, lend_database(other, "") as honest:
        program = log_in(mine)
        program.execute("BEGIN")
        with pytest.raises(psycopg.errors.OutOfMemory, match="shared memory"):
            program.execute("SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 99999) n")
        log_in(honest).execute("SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 1000) n")
    await other.kill()


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_busy_session_ends_with_its_server(monkeypatch, frozen: bool):
    monkeypatch.setattr(database_server, "QUIT_TIMEOUT", 0.5)
    server = await DatabaseServer.start()
    async with lend_database(server, "") as lent:
        await keep_busy(server, lent)
        workers = list(all_in(server.data))
        if frozen:
            await freeze(server.pid)
        await server.kill()
        assert not any(worker.alive for worker in workers)


async def test_a_server_killed_by_others_is_known_to_be_dead(fresh: DatabaseServer):
    async with lend_database(fresh, "") as lent:
        await keep_busy(fresh, lent)
        workers = list(all_in(fresh.data))
        os.kill(fresh.pid, signal.SIGKILL)
        await fresh.ended()
        assert not fresh.alive and not await fresh.answers(within=1)
    await fresh.kill()
    assert not any(worker.alive for worker in workers)


async def test_a_frozen_server_is_alive_but_does_not_answer(fresh: DatabaseServer):
    await freeze(fresh.pid)
    assert fresh.alive and not await fresh.answers(within=0.3)
    os.kill(fresh.pid, signal.SIGCONT)
    assert await fresh.answers(within=10)


async def test_a_port_taken_meanwhile_is_left_for_another(monkeypatch, server: DatabaseServer):
    free = database_server.free_ports(1)
    choices = [[server.address[1]], free]
    monkeypatch.setattr(database_server, "free_ports", lambda count: choices.pop(0))
    second = await DatabaseServer.start()
    assert second.address[1] == free[0] and not choices
    await second.kill()


async def test_a_server_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr(database_server, "SETTINGS", "no_such_setting = 1\n")
    with pytest.raises(SandboxError, match="no_such_setting"):
        await DatabaseServer.start()


async def test_a_path_too_long_for_a_socket_is_refused(monkeypatch, open_folder: Path):
    monkeypatch.setenv("OFFSETZERO_STATE", str(open_folder / ("x" * 100)))
    with pytest.raises(SandboxError, match="OFFSETZERO_STATE"):
        await DatabaseServer.start()


async def test_no_statement_of_ours_waits_for_ever(monkeypatch, server: DatabaseServer):
    monkeypatch.setattr("sandbox.postgres.server.STATEMENT_TIMEOUT", 0.1)
    async with await server.connect() as waiting:
        with pytest.raises(psycopg.errors.QueryCanceled):
            await waiting.execute("select pg_sleep(3600)")


OWNER = """
import asyncio
from sandbox.postgres import DatabaseServer
async def main():
    server = await DatabaseServer.start()
    print(server.pid, server.folder, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_a_server_ends_and_is_swept_after_its_owner_was_killed(own_state):
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, stdout=subprocess.PIPE
    )
    pid, path = (await owner.stdout.readline()).decode().split()
    folder = Path(path)
    workers = list(all_in(folder / "data"))
    assert Identity.of(int(pid)) in workers and segments_of(int(pid)) == 1
    owner.kill()
    await owner.wait()
    assert folder.name in await asyncio.to_thread(sweep, home())
    assert not any(worker.alive for worker in workers)
    assert not await asyncio.to_thread(folder.exists)
    assert segments_of(int(pid)) == 0


async def test_a_lent_database_has_what_its_schema_makes_and_grants(server: DatabaseServer):
    async with lend_database(server, SCHEMA) as lent:
        with log_in(lent) as program:
            program.execute("INSERT INTO ledger (event_id) VALUES ('a')")
            program.execute("CREATE TABLE processed_events (id text PRIMARY KEY)")
            for forbidden in ("DELETE FROM ledger", "DROP TABLE ledger", "TRUNCATE ledger"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    program.execute(forbidden)
    assert lent.url_in_box == (
        f"postgresql://{lent.role}:{lent.password}@127.0.0.1:5432/{lent.name}"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "wrong"},
        {"dbname": "postgres"},
        {"dbname": "template1"},
        {"user": "postgres", "dbname": "postgres"},
    ],
)
async def test_a_program_reaches_its_own_database_only(
    server: DatabaseServer, changes: dict[str, str]
):
    async with lend_database(server, SCHEMA) as lent:
        with pytest.raises(psycopg.OperationalError):
            log_in(lent, **changes)


async def test_two_programs_cannot_reach_one_another(server: DatabaseServer):
    async with lend_database(server, SCHEMA) as mine, lend_database(server, SCHEMA) as other:
        with pytest.raises(psycopg.OperationalError):
            log_in(mine, dbname=other.name)


@pytest.mark.parametrize(
    "attempt",
    [
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('postmaster.pid')",
        "SET ROLE postgres",
        "CREATE ROLE friend",
        "CREATE DATABASE more",
        "SET temp_file_limit = -1",
    ],
)
async def test_a_program_is_refused(server: DatabaseServer, attempt: str):
    async with lend_database(server, SCHEMA) as lent:
        with log_in(lent) as program, pytest.raises(psycopg.errors.InsufficientPrivilege):
            program.execute(attempt)


async def test_nothing_is_left_of_a_lent_database(server: DatabaseServer):
    async with lend_database(server, SCHEMA) as lent:
        program = log_in(lent)
        program.execute("CREATE TABLE mine ()")
    with pytest.raises(psycopg.OperationalError):
        program.execute("SELECT 1")
    assert not await lent_names(server)


async def test_a_wrong_schema_is_an_error_and_leaves_nothing(server: DatabaseServer):
    with pytest.raises(psycopg.errors.SyntaxError):
        async with lend_database(server, "CREATE TABEL ledger ()"):
            pass
    assert not await lent_names(server)


async def test_the_order_of_commits_is_kept(server: DatabaseServer):
    async with lend_database(server, SCHEMA) as lent:
        with log_in(lent) as early, log_in(lent) as late:
            early.execute("BEGIN")
            early.execute("INSERT INTO ledger (event_id) VALUES ('inserted first')")
            late.execute("INSERT INTO ledger (event_id) VALUES ('committed first')")
            early.execute("COMMIT")
        async with await server.connect(lent.name) as ours:
            rows = await ours.execute(
                "SELECT event_id FROM ledger ORDER BY pg_xact_commit_timestamp(xmin)"
            )
            assert await rows.fetchall() == [("committed first",), ("inserted first",)]


async def test_a_program_that_fills_the_disk_is_locked_out(monkeypatch, server: DatabaseServer):
    monkeypatch.setattr(lending, "SIZE_LIMIT_MB", 16)
    monkeypatch.setattr(lending, "WATCH_S", 0.01)
    async with lend_database(server, SCHEMA) as lent:
        program = log_in(lent)
        program.execute("CREATE TABLE junk AS SELECT repeat('x', 1000) FROM generate_series(1, 5)")
        assert not lent.full.is_set()
        program.execute("INSERT INTO junk SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
        async with asyncio.timeout(20):
            await lent.full.wait()
        with pytest.raises(psycopg.OperationalError):
            program.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            log_in(lent)


async def test_a_session_cannot_take_the_machines_memory(server: DatabaseServer):
    async with lend_database(server, SCHEMA) as lent, await server.connect() as ours:
        with pytest.raises(psycopg.errors.OutOfMemory):
            log_in(lent).execute(
                "SELECT length(string_agg(repeat('x', 1000000), '')) FROM generate_series(1, 900)"
            )
        await ours.execute("SELECT 1")  # nobody else's session has ended
