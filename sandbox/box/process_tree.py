"""A box without control groups: its process tree, watched from outside.

Weaker, and said so by `assurance`: memory is looked at a few times a second instead of refused,
CPU is not shared out, and a freeze reaches one process after the other.
"""

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sandbox.box import pidfd
from sandbox.box.group import Exceeded
from sandbox.box.spec import Limits

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Seen:
    """What /proc/PID/stat said of one process."""

    state: str
    threads: int
    cpu_ticks: int  # its own, and of the children it waited for


class ProcessTree:
    kind: ClassVar = "rlimits"

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._init, self._init_fd = 0, -1
        self._cpu_seconds = 0.0

    @property
    def joins(self) -> list[Path]:
        return []

    def enclose(self, init: int) -> None:
        self._init, self._init_fd = init, os.pidfd_open(init)
        # Counted per user namespace, and a box has its own: no box takes from another. One for
        # init, and one over the limit, so that going over it can be seen.
        most = self._limits.pids + 2
        resource.prlimit(init, resource.RLIMIT_NPROC, (most, most))

    def pids(self) -> Sequence[int]:
        """Return the processes of the program: all below init."""
        found, waiting = list[int](), _children(self._init)
        while waiting:
            found.append(pid := waiting.pop())
            waiting += _children(pid)
        return found

    def _seen(self) -> dict[int, Seen]:
        return {pid: seen for pid in self.pids() if (seen := _look(pid))}

    async def freeze(self) -> None:
        while any(seen.state not in "TZX" for seen in self._seen().values()):
            self._signal(signal.SIGSTOP)
            await asyncio.sleep(0.001)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, signum: int) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)

    def kill(self) -> None:
        if self._init_fd >= 0:
            pidfd.send(self._init_fd, signal.SIGKILL)  # the kernel ends its whole namespace

    def exceeded(self) -> Exceeded | None:
        seen = self._seen().values()
        self._count_cpu(seen)
        if sum(map(_memory_kb, self.pids())) > self._limits.memory_mb << 10:
            return "memory"
        if sum(one.threads for one in seen) > self._limits.pids:
            return "pids"
        return None

    @property
    def cpu_seconds(self) -> float:
        """As of now; after the end, as of the last look at the limits."""
        self._count_cpu(self._seen().values())
        return self._cpu_seconds

    def _count_cpu(self, seen: Iterable[Seen]) -> None:
        init = _look(self._init)
        ticks = sum(one.cpu_ticks for one in seen) + (init.cpu_ticks if init else 0)
        self._cpu_seconds = max(self._cpu_seconds, ticks / TICKS)

    async def remove(self) -> None:
        """Nothing is in the kernel but the processes."""
        self.kill()
        if self._init_fd >= 0:
            os.close(self._init_fd)
            self._init_fd = -1


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    with contextlib.suppress(OSError):
        files = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for file in files for child in file.read_text().split()]
    return []


def _look(pid: int) -> Seen | None:
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return Seen(stat[0], int(stat[17]), sum(map(int, stat[11:15])))
    return None


def _memory_kb(pid: int) -> int:
    """Return the memory of a process, what it shares with others divided among them."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(
            int(one.split()[1]) for one in lines if one.startswith(("Pss_Anon", "Pss_Shmem"))
        )
    return 0
