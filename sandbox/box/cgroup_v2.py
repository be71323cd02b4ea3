"""Control groups, version 2: one folder for all controllers."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from sandbox.box import cgroupfs
from sandbox.box.group import OVERHEAD_PIDS, Exceeded
from sandbox.box.spec import Limits

CONTROLLERS = ("memory", "pids", "cpu")
PERIOD_US = 100_000


class CgroupV2:
    kind: ClassVar = "cgroup v2"

    def __init__(self, root: Path, name: str, limits: Limits) -> None:
        self._dir = root / name
        self._cpu_seconds = 0.0
        self._dir.mkdir()
        self._limit(limits)

    def _limit(self, limits: Limits) -> None:
        for name, value in {
            "memory.max": limits.memory_mb << 20,
            "memory.swap.max": 0,
            "pids.max": limits.pids + OVERHEAD_PIDS,
            "cpu.max": f"{int(limits.cpus * PERIOD_US)} {PERIOD_US}",
        }.items():
            file = self._dir / name
            if name != "memory.swap.max" or file.exists():  # absent where there is no swap
                file.write_text(str(value))

    @property
    def joins(self) -> list[Path]:
        return [self._dir]

    def enclose(self, init: int) -> None:
        """Nothing to note: the kernel knows the members."""

    async def freeze(self) -> None:
        (self._dir / "cgroup.freeze").write_text("1")
        while not cgroupfs.keyed(self._dir / "cgroup.events")["frozen"]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def thaw(self) -> None:
        (self._dir / "cgroup.freeze").write_text("0")

    def kill(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            cgroupfs.kill(self._dir)

    def exceeded(self) -> Exceeded | None:
        memory = cgroupfs.keyed(self._dir / "memory.events")
        # Without a hit of our own limit, it was the whole machine that ran out of memory.
        if memory["oom_kill"] and memory["oom"]:
            return "memory"
        if cgroupfs.keyed(self._dir / "pids.events")["max"]:
            return "pids"
        return None

    def pids(self) -> Sequence[int]:
        with contextlib.suppress(FileNotFoundError):
            return cgroupfs.members(self._dir)
        return []

    @property
    def cpu_seconds(self) -> float:
        with contextlib.suppress(FileNotFoundError):
            self._cpu_seconds = cgroupfs.keyed(self._dir / "cpu.stat")["usage_usec"] / 1e6
        return self._cpu_seconds

    async def remove(self) -> None:
        self._cpu_seconds = self.cpu_seconds
        await cgroupfs.remove(self._dir)
