import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import sandbox.postgres.cluster
from sandbox.postgres import Cluster
from sandbox.process import Identity, SandboxError, spawn
from tests.sandbox.waiting import freeze

pytestmark = pytest.mark.services


@pytest.fixture
async def platform() -> Cluster:
    cluster = Cluster.platform()
    await cluster.start()
    return cluster


@pytest.fixture
async def fresh(open_folder: Path) -> AsyncIterator[Cluster]:
    """A cluster of the test's own, not started."""
    cluster = Cluster("fresh")
    yield cluster
    await cluster.stop()
    await asyncio.to_thread(shutil.rmtree, cluster.folder)


def server_pid(cluster: Cluster) -> int:
    return int((cluster.data / "postmaster.pid").read_text().splitlines()[0])


def replace_pid(cluster: Cluster, pid: int) -> None:
    """Write a pid file as a killed server leaves it, with the number of another process."""
    file = cluster.data / "postmaster.pid"
    file.write_text(f"{pid}\n{cluster.data}\n0\n5432\n{cluster.sockets}\n")


async def names_in(cluster: Cluster, query: str) -> set[str]:
    async with await cluster.connect() as connection:
        return {name for (name,) in await (await connection.execute(query)).fetchall()}


async def test_a_second_start_attaches_to_the_running_server(platform: Cluster):
    pid = server_pid(platform)
    again = Cluster.platform()
    await again.start()
    assert server_pid(again) == pid


async def test_many_processes_that_start_at_once_get_one_server(fresh: Cluster):
    code = (
        "import asyncio; from sandbox.postgres import Cluster;asyncio.run(Cluster('fresh').start())"
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
    monkeypatch.setattr(sandbox.postgres.cluster, "START_TIMEOUT", 0.5)
    pid = server_pid(fresh)
    await freeze(pid)
    with pytest.raises(SandboxError, match=f"server {pid} .* accepts no connection"):
        await fresh.start()
    os.kill(pid, signal.SIGCONT)


async def test_a_killed_first_start_is_made_good(fresh: Cluster):
    (fresh.folder / "draft" / "base").mkdir(parents=True)
    await fresh.start()
    assert await fresh.alive()


async def test_what_it_holds_outlives_a_stop(platform: Cluster):
    await platform.create_database("before")
    await platform.stop()
    await platform.start()
    assert "before" in await names_in(platform, "SELECT datname FROM pg_database")
    await platform.drop_database("before")


async def test_a_path_too_long_for_a_socket_is_refused(monkeypatch, open_folder: Path):
    monkeypatch.setenv("OFFSETZERO_STATE", str(open_folder / ("x" * 100)))
    with pytest.raises(SandboxError, match="OFFSETZERO_STATE"):
        await Cluster.platform().start()


async def test_the_platform_listens_on_no_port(platform: Cluster):
    assert await names_in(platform, "SHOW listen_addresses") == {""}
