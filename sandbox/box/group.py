"""The processes of one box as a group that is limited, counted and frozen together.

Three kinds, the strongest that this machine allows: control groups version 1, version 2, and,
where those cannot be written, the process tree itself, watched from outside.
"""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol

Exceeded = Literal["memory", "pids"]

# What is not the program in the group of its box: bubblewrap's monitor and its init; the engine's
# init, and then one program has a place more.
OVERHEAD_PIDS = 2


def run_delay(pids: Iterable[int]) -> float:
    """How many seconds the living threads of these processes were ready to run and waited for a
    CPU, all together (`run_delay` of the kernel's scheduler statistics). A process that is gone, or
    a kernel without those, counts as 0."""
    files = (file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(map(_waited_ns, files)) / 1e9


def _waited_ns(schedstat: Path) -> int:
    with contextlib.suppress(OSError):
        return int(schedstat.read_text().split()[1])
    return 0


class Group(Protocol):
    kind: ClassVar[str]

    @property
    def joins(self) -> list[Path]:
        """The cgroup folders a process joins before it becomes the box; none for a tree."""

    def enclose(self, init: int) -> None:
        """Take note of the first process inside; the program has not started yet."""

    async def freeze(self) -> None:
        """Return once no process of the program runs."""

    def thaw(self) -> None:
        """Let them run again."""

    def kill(self) -> None:
        """End every process, also frozen ones, which do not get to run once more."""

    def exceeded(self) -> Exceeded | None:
        """Return the limit that the group went over so far, None when it kept to both."""

    def pids(self) -> Sequence[int]:
        """The processes of it that live, as this process counts them; none after `remove`."""

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all its processes, ended ones included; still there after `remove`."""

    async def remove(self) -> None:
        """End whatever is left and remove the group from the kernel."""
