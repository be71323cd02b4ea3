"""Hundreds of gradings, hostile ones among them, leave nothing behind: run by make verify-long."""

import asyncio
import gc
import os
import resource
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandbox.backing import Backing
from sandbox.box.cgroupfs import FOLDER, mounts
from sandbox.home import home
from sandbox.pool import Pool
from sandbox.process import all_in
from tests.browser.served import children_by_parent, descendants
from tests.hostile.test_hostile import graded
from tests.shared_memory import segments_of

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

RUNS = int(os.environ.get("OFFSETZERO_LEAK_RUNS", "200"))
PROGRAMS = ("honest work", "on_kafka administers", "on_database opens_every_connection")
LOOKS = 5
MEMORY_KB = 40_000  # what may come on top between the first runs and the last


class Lender:
    """Lends what a pool lends, and notes the PostgreSQL servers."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.servers: set[int] = set()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Backing]:
        async with self.pool.lend() as backing:
            self.servers.add(backing.databases.pid)
            yield backing


def left(lender: Lender) -> dict[str, int]:
    """Count what a grading could leave: in the kernel, on disk, in ourselves."""
    boxes = [box for mount in mounts() for box in (mount.point / FOLDER).glob(f"*.{os.getpid()}.*")]
    return {
        "cgroups": len(boxes),
        "scratch": len(list((home().state / "scratch").iterdir())),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "processes": len(list(descendants(os.getpid(), children_by_parent()))),
        "in the state": len(list(all_in(home().state))),
        "shared memory": segments_of(*lender.servers),
        "tasks": len(asyncio.all_tasks()),
    }


async def at_rest(lender: Lender) -> dict[str, int]:
    """What is left once it changes no more: a backing that was given back is being replaced."""
    looks: list[dict[str, int]] = []
    while looks[-LOOKS:] != LOOKS * looks[-1:] or not looks:
        gc.collect()  # clients of Kafka are in cycles, and end with them
        looks.append(left(lender))
        await asyncio.sleep(1)
    return looks[-1]


@pytest.mark.long
@pytest.mark.timeout(14_400)
async def test_gradings_leave_nothing(pool: Pool, tmp_path: Path):
    lender = Lender(pool)
    for number in range(RUNS + len(PROGRAMS)):
        if number == len(PROGRAMS):
            before, memory = await at_rest(lender), own_memory_kb()
        folder = tmp_path / str(number)
        await graded(PROGRAMS[number % len(PROGRAMS)], lender, folder)
        shutil.rmtree(folder)
    assert await at_rest(lender) == before
    assert own_memory_kb() - memory < MEMORY_KB


def own_memory_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
