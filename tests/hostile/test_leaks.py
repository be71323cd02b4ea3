"""Hundreds of gradings, hostile ones among them, leave nothing behind: run by make verify-long."""

import asyncio
import gc
import os
import resource
import shutil
from pathlib import Path

import pytest

from sandbox.box.cgroupfs import FOLDER, mounts
from sandbox.home import home
from sandbox.pool import BrokerPool
from sandbox.postgres import Cluster
from tests.hostile.test_hostile import graded

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

RUNS = int(os.environ.get("OFFSETZERO_LEAK_RUNS", "200"))
PROGRAMS = ("honest work", "on_kafka administers", "on_database opens_every_connection")
LOOKS = 5
MEMORY_KB = 40_000  # what may come on top between the first runs and the last


async def left(cluster: Cluster) -> dict[str, int]:
    """Count what a grading could leave: in the database, in the kernel, on disk, in ourselves."""
    async with await cluster.connect() as connection:
        cursor = await connection.execute(
            "SELECT (SELECT count(*) FROM pg_database), (SELECT count(*) FROM pg_roles),"
            " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
        )
        databases, roles, sessions = await cursor.fetchone()
    held = {"databases": databases, "roles": roles, "sessions": sessions}
    return {**held, **kept_here(), "tasks": len(asyncio.all_tasks())}


def kept_here() -> dict[str, int]:
    boxes = [box for mount in mounts() for box in (mount.point / FOLDER).glob(f"*.{os.getpid()}.*")]
    return {
        "cgroups": len(boxes),
        "scratch": len(list((home().state / "scratch").iterdir())),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


async def at_rest(cluster: Cluster) -> dict[str, int]:
    """What is left once it changes no more: a broker that was given back is being replaced."""
    looks: list[dict[str, int]] = []
    while looks[-LOOKS:] != LOOKS * looks[-1:] or not looks:
        gc.collect()  # clients of Kafka are in cycles, and end with them
        looks.append(await left(cluster))
        await asyncio.sleep(1)
    return looks[-1]


@pytest.mark.long
@pytest.mark.timeout(14_400)
async def test_gradings_leave_nothing(pool: BrokerPool, cluster: Cluster, tmp_path: Path):
    for number in range(RUNS + len(PROGRAMS)):
        if number == len(PROGRAMS):
            before, memory = await at_rest(cluster), own_memory_kb()
        folder = tmp_path / str(number)
        await graded(PROGRAMS[number % len(PROGRAMS)], pool, cluster, folder)
        shutil.rmtree(folder)
    assert await at_rest(cluster) == before
    assert own_memory_kb() - memory < MEMORY_KB


def own_memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
