"""What a box costs: from Box.start to the program's first line, to freeze it, to end it.

Goal: at most 80 ms (median) to the first instruction, with seccomp, cgroups and two doors; 500 ms
with Docker, which is measured where an engine answers.
Run: python bench/box.py [RUNS]
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from sandbox.box import DRIVERS, Box, BoxError, assurance, driver_name

RUNS = 50
DOORS = (9092, 5432)
COMMAND = ["sh", "-c", "echo started; exec sleep 1000"]


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    for driver in DRIVERS:
        os.environ["OFFSETZERO_DRIVER"] = driver
        try:
            report(runs)
        except BoxError as error:
            print(f"{driver}: not measured. {error}")


def report(runs: int) -> None:
    print(f"{driver_name()}: limits by {assurance().limits}, {runs} boxes one after the other")
    for what, times in asyncio.run(measure(runs)).items():
        late = statistics.quantiles(times, n=20)[-1]
        print(f"{what}: median {statistics.median(times):.1f} ms, p95 {late:.1f} ms")


async def measure(runs: int) -> dict[str, list[float]]:
    """Return the milliseconds of each step of each box."""
    times = defaultdict(list)
    with tempfile.TemporaryDirectory() as source:
        await one_box(Path(source), defaultdict(list))  # makes the toolbox, starts the keeper
        for _ in range(runs):
            await one_box(Path(source), times)
    return times


async def one_box(source: Path, times: dict[str, list[float]]) -> None:
    def took(what: str, since: float) -> float:
        now = time.perf_counter()
        times[what].append(1000 * (now - since))
        return now

    started = asyncio.Event()
    begin = time.perf_counter()
    box = await Box.start(
        "bench",
        command=COMMAND,
        source=source,
        door_ports=DOORS,
        on_output=lambda stream, line: started.set(),
    )
    await started.wait()
    now = took("start to first line", begin)
    await box.freeze()
    now = took("freeze", now)
    await box.kill()
    took("kill, until nothing is left", now)
    for door in box.doors.values():
        door.close()


if __name__ == "__main__":
    main()
