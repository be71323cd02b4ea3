import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from sandbox import postgres
from sandbox.postgres import Cluster, lend_database
from sandbox.process import Identity, SandboxError, spawn
from tests.sandbox.waiting import freeze

pytestmark = pytest.mark.services

SCHEMA = """
CREATE TABLE ledger (entry bigserial PRIMARY KEY, event_id text NOT NULL);
GRANT SELECT, INSERT ON ledger TO :program;
GRANT USAGE ON ledger_entry_seq TO :program;
COMMENT ON TABLE ledger IS 'a cast such as 1::program is no name';
"""


@pytest.fixture
async def programs() -> Cluster:
    cluster = Cluster.programs()
    await cluster.start()
    return cluster


@pytest.fixture
async def platform() -> Cluster:
    cluster = Cluster.platform()
    await cluster.start()
    return cluster


@pytest.fixture
async def fresh(open_folder: Path) -> AsyncIterator[Cluster]:
    """A disposable cluster of the test's own, not started."""
    cluster = Cluster("fresh", disposable=True)
    yield cluster
    await cluster.stop()
    await asyncio.to_thread(postgres.shutil.rmtree, cluster.folder)


def server_pid(cluster: Cluster) -> int:
    return int((cluster.data / "postmaster.pid").read_text().splitlines()[0])


def replace_pid(cluster: Cluster, pid: int) -> None:
    """Write a pid file as a killed server leaves it, with the number of another process."""
    file = cluster.data / "postmaster.pid"
    file.write_text(f"{pid}\n{cluster.data}\n0\n{cluster.address[1]}\n{cluster.sockets}\n")


def log_in(database: postgres.Database, **changes: str) -> psycopg.Connection:
    host, port = database.address
    as_lent = {"user": database.role, "password": database.password, "dbname": database.name}
    return psycopg.connect(host=host, port=port, autocommit=True, **as_lent | changes)


async def names_in(cluster: Cluster, query: str) -> set[str]:
    async with await cluster.connect() as connection:
        return {name for (name,) in await (await connection.execute(query)).fetchall()}


async def lent_names(cluster: Cluster) -> set[str]:
    roles = await names_in(cluster, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'run%'")
    query = "SELECT datname FROM pg_database WHERE datname LIKE 'run%'"
    return roles | await names_in(cluster, query)


async def test_a_second_start_attaches_to_the_running_server(programs: Cluster):
    again = Cluster.programs()
    await again.start()
    assert server_pid(again) == server_pid(programs)
    assert again.address == programs.address


async def test_many_processes_that_start_at_once_get_one_server(fresh: Cluster):
    code = (
        "import asyncio; from sandbox.postgres import Cluster;"
        "asyncio.run(Cluster('fresh', disposable=True).start())"
    )
    starts = [await asyncio.create_subprocess_exec(sys.executable, "-c", code) for _ in range(4)]
    assert [await start.wait() for start in starts] == [0, 0, 0, 0]
    assert await fresh.alive()


async def test_a_killed_server_comes_back_with_every_committed_row(platform: Cluster):
    async with await platform.connect() as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    killed = Identity.of(server_pid(platform))
    killed.kill()
    assert not await platform.alive()
    await platform.start()
    assert await names_in(platform, "SELECT one FROM kept") == {1}


async def test_a_number_used_by_another_process_does_not_block_the_start(fresh: Cluster):
    await fresh.start()
    await fresh.stop()
    stranger = await spawn(["sleep", "600"], env={"PATH": "/usr/bin:/bin"})
    replace_pid(fresh, stranger.pid)
    await fresh.start()
    assert await fresh.alive()
    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()


async def test_a_server_that_hangs_is_named(monkeypatch, fresh: Cluster):
    await fresh.start()
    monkeypatch.setattr(postgres, "START_TIMEOUT", 0.5)
    pid = server_pid(fresh)
    await freeze(pid)
    with pytest.raises(SandboxError, match=f"server {pid} .* accepts no connection"):
        await fresh.start()
    os.kill(pid, signal.SIGCONT)


async def test_a_killed_first_start_is_made_good(fresh: Cluster):
    (fresh.folder / "draft" / "base").mkdir(parents=True)
    await fresh.start()
    assert await fresh.alive()


async def test_a_disposable_cluster_is_made_anew_after_a_reboot(fresh: Cluster):
    await fresh.start()
    await fresh.create_database("before")
    await fresh.stop()
    (fresh.folder / "boot").write_text("another boot")
    await fresh.start()
    assert "before" not in await names_in(fresh, "SELECT datname FROM pg_database")


async def test_the_platform_outlives_a_reboot(platform: Cluster):
    await platform.create_database("before")
    await platform.stop()
    (platform.folder / "boot").write_text("another boot")
    await platform.start()
    assert "before" in await names_in(platform, "SELECT datname FROM pg_database")
    await platform.drop_database("before")


async def test_a_taken_port_is_left_for_another(monkeypatch, fresh: Cluster, programs: Cluster):
    (free,) = postgres.free_ports(1)
    choices = [[programs.address[1]], [free]]
    monkeypatch.setattr(postgres, "free_ports", lambda count: choices.pop(0))
    await fresh.start()
    assert fresh.address[1] == free


async def test_a_server_that_cannot_start_says_why(monkeypatch, fresh: Cluster):
    monkeypatch.setattr(postgres, "PROGRAMS_SETTINGS", "no_such_setting = 1\n")
    with pytest.raises(SandboxError, match="no_such_setting"):
        await fresh.start()


async def test_a_path_too_long_for_a_socket_is_refused(monkeypatch, open_folder: Path):
    monkeypatch.setenv("OFFSETZERO_STATE", str(open_folder / ("x" * 100)))
    with pytest.raises(SandboxError, match="OFFSETZERO_STATE"):
        await Cluster.programs().start()


async def test_the_platform_listens_on_no_port(platform: Cluster):
    assert await names_in(platform, "SHOW listen_addresses") == {""}


async def test_no_statement_of_ours_waits_for_ever(monkeypatch, programs: Cluster):
    monkeypatch.setattr(postgres, "STATEMENT_TIMEOUT", 0.1)
    async with await programs.connect() as waiting:
        with pytest.raises(psycopg.errors.QueryCanceled):
            await waiting.execute("select pg_sleep(3600)")


async def test_a_lent_database_has_what_its_schema_makes_and_grants(programs: Cluster):
    async with lend_database(programs, SCHEMA) as lent:
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
async def test_a_program_reaches_its_own_database_only(programs: Cluster, changes: dict[str, str]):
    async with lend_database(programs, SCHEMA) as lent:
        with pytest.raises(psycopg.OperationalError):
            log_in(lent, **changes)


async def test_two_programs_cannot_reach_one_another(programs: Cluster):
    async with lend_database(programs, SCHEMA) as mine, lend_database(programs, SCHEMA) as other:
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
async def test_a_program_is_refused(programs: Cluster, attempt: str):
    async with lend_database(programs, SCHEMA) as lent:
        with log_in(lent) as program, pytest.raises(psycopg.errors.InsufficientPrivilege):
            program.execute(attempt)


async def test_nothing_is_left_of_a_lent_database(programs: Cluster):
    async with lend_database(programs, SCHEMA) as lent:
        program = log_in(lent)
        program.execute("CREATE TABLE mine ()")
    with pytest.raises(psycopg.OperationalError):
        program.execute("SELECT 1")
    assert not await lent_names(programs)


async def test_a_server_killed_meanwhile_is_back_and_clean(programs: Cluster):
    async with lend_database(programs, SCHEMA):
        Identity.of(server_pid(programs)).kill()
    assert not await lent_names(programs)


async def test_a_server_killed_before_is_back(programs: Cluster):
    Identity.of(server_pid(programs)).kill()
    async with lend_database(programs, SCHEMA) as lent:
        log_in(lent).close()


async def test_a_wrong_schema_is_an_error_and_leaves_nothing(programs: Cluster):
    with pytest.raises(psycopg.errors.SyntaxError):
        async with lend_database(programs, "CREATE TABEL ledger ()"):
            pass
    assert not await lent_names(programs)


async def test_the_order_of_commits_is_kept(programs: Cluster):
    async with lend_database(programs, SCHEMA) as lent:
        with log_in(lent) as early, log_in(lent) as late:
            early.execute("BEGIN")
            early.execute("INSERT INTO ledger (event_id) VALUES ('inserted first')")
            late.execute("INSERT INTO ledger (event_id) VALUES ('committed first')")
            early.execute("COMMIT")
        async with await programs.connect(lent.name) as ours:
            rows = await ours.execute(
                "SELECT event_id FROM ledger ORDER BY pg_xact_commit_timestamp(xmin)"
            )
            assert await rows.fetchall() == [("committed first",), ("inserted first",)]


async def test_a_program_that_fills_the_disk_is_locked_out(monkeypatch, programs: Cluster):
    monkeypatch.setattr(postgres, "SIZE_LIMIT_MB", 16)
    monkeypatch.setattr(postgres, "WATCH_S", 0.01)
    async with lend_database(programs, SCHEMA) as lent:
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


async def test_a_session_cannot_take_the_machines_memory(programs: Cluster):
    async with lend_database(programs, SCHEMA) as lent, await programs.connect() as ours:
        with pytest.raises(psycopg.errors.OutOfMemory):
            log_in(lent).execute(
                "SELECT length(string_agg(repeat('x', 1000000), '')) FROM generate_series(1, 900)"
            )
        await ours.execute("SELECT 1")  # nobody else's session has ended


LENDER = """
import asyncio
from sandbox.postgres import Cluster, lend_database
async def main():
    cluster = Cluster.programs()
    await cluster.start()
    async with lend_database(cluster, "") as lent:
        print(lent.name, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_what_a_killed_process_lent_is_dropped_at_the_next_start(programs: Cluster):
    lender = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LENDER, stdout=subprocess.PIPE
    )
    name = (await lender.stdout.readline()).decode().strip()
    await programs.start()
    assert name in await lent_names(programs)
    lender.kill()
    await lender.wait()
    await programs.start()
    assert not await lent_names(programs)
