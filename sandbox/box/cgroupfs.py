"""Where control groups are mounted, and what both versions have in common."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox.process import started

FOLDER = "offsetzero"  # the parent of all boxes, in every hierarchy


@dataclass(frozen=True)
class Mount:
    """A mounted hierarchy; `root` is the cgroup that its top shows."""

    point: Path
    root: str
    version: int
    controllers: frozenset[str]


@cache
def mounts() -> tuple[Mount, ...]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return tuple(mount for line in lines if (mount := _parse(line)))


def _parse(line: str) -> Mount | None:
    left, _, right = line.partition(" - ")
    root, point = left.split()[3:5]
    kind, _, options = right.split(maxsplit=2)
    if kind == "cgroup":
        return Mount(Path(point), root, 1, frozenset(options.split(",")))
    if kind == "cgroup2":
        controllers = (Path(point) / "cgroup.controllers").read_text().split()
        return Mount(Path(point), root, 2, frozenset(controllers))
    return None


def keyed(file: Path) -> dict[str, int]:
    """Read a file of lines `name number`."""
    return {name: int(value) for name, value in map(str.split, file.read_text().splitlines())}


def members(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]


def kill(folder: Path) -> None:
    """End every process of a cgroup; some may be new by the next look."""
    for pid in members(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for switch, run in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        if (folder / switch).exists():  # frozen processes end only when they may run
            (folder / switch).write_text(run)


async def remove(folder: Path) -> None:
    """End what is left in a cgroup and remove it.

    Raises TimeoutError when its processes do not end.
    """
    for _ in range(1000):
        try:
            kill(folder)
            folder.rmdir()  # noqa: ASYNC240
        except FileNotFoundError:
            return
        except OSError:  # busy: the kernel takes a moment to let go of ended processes
            await asyncio.sleep(0.005)
        else:
            return
    raise TimeoutError(f"the processes {members(folder)} of the control group {folder} do not end")


@cache
def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def box_name(name: str) -> str:
    """Return the folder name of a box, which says whose it is.

    It starts with the pid namespace, the id and the start of this process: no other process of
    this boot, before or after, has the same, so a sweep knows what a dead owner left.
    """
    return f"{_pid_namespace()}.{os.getpid()}.{_ticks(os.getpid())}.{name}"


def _ticks(pid: int) -> str | None:
    moment = started(pid)
    return moment and moment.rpartition("/")[2]


def owner_gone(folder: Path) -> bool:
    namespace, pid, ticks = folder.name.split(".")[:3]
    return namespace == str(_pid_namespace()) and _ticks(int(pid)) != ticks


def orphans() -> Iterator[Path]:
    """Return the folders of boxes, in all hierarchies, whose supervisor has ended."""
    for mount in mounts():
        for path, _, _ in os.walk(mount.point):
            folder = Path(path)
            if folder.parent.name == FOLDER and owner_gone(folder):
                yield folder


async def sweep_groups() -> list[str]:
    """End and remove every cgroup of a box whose supervisor has ended; return their names."""
    found = list(orphans())
    for folder in found:
        await remove(folder)
    return sorted({folder.name for folder in found})
