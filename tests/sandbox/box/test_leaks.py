"""After a box nothing is left of it, however it and its supervisor ended."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.box import assurance, driver_name, sweep_boxes
from sandbox.box.cgroupfs import FOLDER, mounts
from sandbox.box.docker.engine import OWNER, engine
from sandbox.box.keeper import keeper
from sandbox.home import home
from sandbox.process import sweep

pytestmark = pytest.mark.services

# Each ends in a different way: by itself, with a daemon, by a limit, frozen.
ENDINGS = ("processes exit_like_killed", "processes daemon", "resources thread_bomb")


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def cgroups() -> list[Path]:
    return [box for mount in mounts() for box in (mount.point / FOLDER).glob("*.*.*.*")]


def containers() -> list[str]:
    """Whose boxes the engine has, by owner; none with the other driver."""
    if driver_name() != "docker":
        return []
    with engine("counting boxes") as client:
        return [box.labels[OWNER] for box in client.containers.list(True, filters={"label": OWNER})]


def left() -> dict[str, int]:
    """Count what a box could leave behind, on the whole machine where that is possible."""
    keeper_pid = keeper().process.pid
    return {
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "processes": len(descendants(keeper_pid)),
        "our descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "the keeper's descriptors": len(list(Path(f"/proc/{keeper_pid}/fd").iterdir())),
        "folders": len(list((home().state / "scratch").iterdir())),
        "containers": len(containers()),
        "cgroups": len([box for box in cgroups() if f".{os.getpid()}." in box.name]),
    }


async def test_many_boxes_leave_nothing(start_hostile, start, driver):
    await asyncio.gather(*[one_honest(start) for _ in range(8)])  # a thread each, with a connection
    before = left()
    for number in range({"process": 10, "docker": 2}[driver]):
        for program in ENDINGS:
            run = await start_hostile(program, door_ports=[9092])
            if number % 2:
                await run.box.freeze()
                await run.box.kill()
            await run.box.wait()
            run.box.doors[9092].close()
    for _ in range(500):  # the keeper's child that opened the last door may still be ending
        if left() == before:
            break
        await asyncio.sleep(0.01)
    assert left() == before


async def one_honest(start) -> None:
    await (await start(command=["true"])).box.wait()


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from sandbox.box import Box
from sandbox.box.docker.engine import OWNER, engine
from sandbox.box.keeper import keeper

async def main():
    await Box.start("app", command=["sleep", "1000"], source=Path(sys.argv[1]),
                    on_output=lambda stream, line: None)
    print(keeper().process.pid, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.mark.parametrize("driver", ["process"], indirect=True)
@pytest.mark.parametrize("first", ["supervisor", "keeper"])
async def test_killed_supervisor_leaves_nothing_after_the_sweep(tmp_path, own_state, driver, first):
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:  # noqa: ASYNC220
        keeper_pid = int(supervisor.stdout.readline())
        boxes = [os.pidfd_open(pid) for pid in descendants(keeper_pid)]
        boxes += [os.pidfd_open(pid) for top in descendants(keeper_pid) for pid in descendants(top)]
        for pid in {"supervisor": [supervisor.pid], "keeper": [keeper_pid, supervisor.pid]}[first]:
            os.kill(pid, signal.SIGKILL)
    assert len(boxes) >= 2  # bubblewrap and its init; the program below them dies with it
    for box in boxes:
        await asyncio.to_thread(wait_for_end, box)
    swept = await sweep_boxes()
    assert any(f".{supervisor.pid}." in name for name in swept) == (assurance().limits != "rlimits")
    assert not any(f".{supervisor.pid}." in box.name for box in cgroups())
    assert len(sweep(home())) == 1
    assert not list((own_state / "scratch").iterdir())


@pytest.mark.parametrize("driver", ["docker"], indirect=True)
async def test_killed_supervisor_leaves_no_container_after_the_sweep(tmp_path, own_state, driver):
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:  # noqa: ASYNC220
        supervisor.stdout.readline()
        assert [name for name in containers() if f".{supervisor.pid}." in name]
        supervisor.kill()
    assert [name for name in await sweep_boxes() if f".{supervisor.pid}." in name]
    assert not [name for name in containers() if f".{supervisor.pid}." in name]
    assert not any(f".{supervisor.pid}." in box.name for box in cgroups())


def wait_for_end(pidfd: int) -> None:
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)


async def test_sweep_spares_the_boxes_of_the_living(start):
    run = await start(command=["sleep", "1000"])
    await sweep_boxes()
    assert run.box.alive
    await run.box.freeze()
    await run.box.thaw()


@pytest.mark.parametrize("driver", ["process"], indirect=True)
async def test_new_keeper_after_the_old_one_was_killed(start):
    run = await start(command=["sleep", "1000"])
    keeper().process.kill()
    assert (await run.box.wait()).reason == "lost"
    again = await start(command=["echo", "again"])
    await again.box.wait()
    assert again.lines == ["again"]
