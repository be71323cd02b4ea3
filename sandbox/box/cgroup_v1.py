"""Control groups, version 1: one folder per controller."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from sandbox.box import cgroupfs
from sandbox.box.group import OVERHEAD_PIDS, Exceeded
from sandbox.box.spec import Limits

CONTROLLERS = ("memory", "pids", "cpu", "cpuacct", "freezer")
PERIOD_US = 100_000
LARGEST_CHARGE = 4 << 20  # bytes; what was refused is not in the highest usage


class CgroupV1:
    kind: ClassVar = "cgroup v1"

    def __init__(self, roots: Mapping[str, Path], name: str, limits: Limits) -> None:
        self._dir = {controller: root / name for controller, root in roots.items()}
        self._cpu_seconds = 0.0
        for folder in self.joins:
            folder.mkdir()
        self._limit(limits)

    def _limit(self, limits: Limits) -> None:
        memory, cpu = self._dir["memory"], self._dir["cpu"]
        most = str(limits.memory_mb << 20)
        (memory / "memory.limit_in_bytes").write_text(most)
        swap = memory / "memory.memsw.limit_in_bytes"  # absent where swap is not accounted
        if swap.exists():
            swap.write_text(most)
        (self._dir["pids"] / "pids.max").write_text(str(limits.pids + OVERHEAD_PIDS))
        (cpu / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (cpu / "cpu.cfs_quota_us").write_text(str(int(limits.cpus * PERIOD_US)))

    @property
    def joins(self) -> list[Path]:
        return list(dict.fromkeys(self._dir.values()))  # controllers may share a folder

    def enclose(self, init: int) -> None:
        """Nothing to note: the kernel knows the members."""

    async def freeze(self) -> None:
        state = self._dir["freezer"] / "freezer.state"
        state.write_text("FROZEN")
        while state.read_text().strip() != "FROZEN":  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def thaw(self) -> None:
        (self._dir["freezer"] / "freezer.state").write_text("THAWED")

    def kill(self) -> None:
        for folder in self.joins:
            with contextlib.suppress(FileNotFoundError):
                cgroupfs.kill(folder)

    def exceeded(self) -> Exceeded | None:
        if cgroupfs.keyed(self._dir["memory"] / "memory.oom_control")["oom_kill"] and self._full():
            return "memory"
        if cgroupfs.keyed(self._dir["pids"] / "pids.events")["max"]:
            return "pids"
        return None

    def _full(self) -> bool:
        """Tell whether our own limit was met, and not the memory of the whole machine."""
        most, limit = (
            int((self._dir["memory"] / f"memory.{name}_in_bytes").read_text())
            for name in ("max_usage", "limit")
        )
        return most + LARGEST_CHARGE > limit

    def pids(self) -> Sequence[int]:
        with contextlib.suppress(FileNotFoundError):
            return cgroupfs.members(self._dir["pids"])
        return []

    @property
    def cpu_seconds(self) -> float:
        with contextlib.suppress(FileNotFoundError):
            usage = (self._dir["cpuacct"] / "cpuacct.usage").read_text()
            self._cpu_seconds = int(usage) / 1e9
        return self._cpu_seconds

    async def remove(self) -> None:
        self._cpu_seconds = self.cpu_seconds
        for folder in self.joins:
            await cgroupfs.remove(folder)
