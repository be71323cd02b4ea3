"""What the grader itself costs: wall time and CPU of each visible scenario, played alone.

Goals: at most 2 CPU-s for one scenario besides the candidate's program; the visible scenarios
together (three side by side) at most 10 s, all of them at most 40 s. CPU of the broker and the
database counts as ours. Without a path it measures the first accepted solution.
Run: python bench/grade.py [CHALLENGE [PATH]]  (every challenge when none is named)
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from challenges import catalogue
from graders.grade import grade
from graders.report import Report
from graders.spec import Challenge, Submission
from sandbox.backing import Backing
from sandbox.pool import Pool
from sandbox.setup import prepare

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended; 0 when it has just ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # its parent has it in its own account now
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def family(pid: int) -> float:
    """CPU seconds of a process, its children and those that have ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_of(pid) + sum(cpu_of(int(child)) for child in children)


class Bench:
    """A warm platform, and the CPU that it has used."""

    def __init__(self, challenge: Challenge, submission: Submission) -> None:
        self.challenge, self.submission = challenge, submission
        self.pool = Pool()

    async def grade(self, names: list[str]) -> tuple[Report, float, float]:
        """The report, the wall time, and our CPU: this process, broker and database."""
        before, began, lender = time.process_time(), time.monotonic(), Lender(self.pool)
        with tempfile.TemporaryDirectory() as folder:
            report = await grade(
                self.challenge,
                self.submission,
                seed=1,
                pool=lender,
                scenarios=names,
                history_dir=Path(folder),
            )
        wall = time.monotonic() - began
        return report, wall, time.process_time() - before + lender.cpu

    async def run(self) -> None:
        await prepare(print)
        await self.pool.start()
        scenarios = self.challenge.scenarios
        visible = [s.name for s in scenarios if s.visible]
        try:
            for label, chosen in [
                *((name, [name]) for name in visible),
                (f"{len(visible)} visible, three side by side", visible),
                (f"all {len(scenarios)}, three side by side", [s.name for s in scenarios]),
            ]:
                report, wall, cpu = await self.grade(chosen)
                program = report.data["timing"]["program_cpu_s"]
                print(
                    f"{label:<40} {report.verdict.word:<8} {wall:5.1f} s   "
                    f"ours {cpu:5.2f} CPU-s   program {program:5.2f} CPU-s",
                    flush=True,
                )
        finally:
            await self.pool.close()


class Lender:
    """Lends what the pool lends, and adds up the CPU that broker and database used meanwhile."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.cpu = pool, 0.0

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Backing]:
        async with self.pool.lend() as backing:
            before = used(backing)
            yield backing
            self.cpu += used(backing) - before


def used(backing: Backing) -> float:
    """CPU seconds of a broker and a PostgreSQL server so far."""
    return cpu_of(backing.broker.pid) + family(backing.databases.pid)


def measure(challenge: Challenge, path: Path) -> None:
    print(f"{path}, load of the machine {os.getloadavg()[0]:.1f}", flush=True)
    asyncio.run(Bench(challenge, Submission.read(path)).run())


def main() -> None:
    names = sys.argv[1:2] or catalogue.names()
    for challenge in map(catalogue.load, names):
        accepted = Path("challenges") / challenge.name / "solutions" / "accepted"
        measure(challenge, Path(sys.argv[2]) if len(sys.argv) > 2 else min(accepted.iterdir()))


if __name__ == "__main__":
    main()
