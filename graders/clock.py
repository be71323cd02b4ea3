"""A clock for patience: it counts only time in which the machine had CPU to spare.

Whether a program is stuck or merely starved cannot be told from outside. The kernel knows how long
tasks had to wait for a CPU (/proc/pressure/cpu); while they do, this clock runs slower, down to a
quarter, so that a busy machine makes the grader slow and not unjust. Without that file it is an
ordinary clock.
"""

import time
from pathlib import Path

PRESSURE = Path("/proc/pressure/cpu")
SLOWEST = 0.25


class FairClock:
    """Seconds since some moment, fewer of them when the machine was short of CPU."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._at = time.monotonic()
        self._waited = waited_for_cpu()

    def now(self) -> float:
        """Seconds on this clock; never more than have passed."""
        at, waited = time.monotonic(), waited_for_cpu()
        passed = at - self._at
        hindered = min(waited - self._waited, passed)
        self._seconds += passed - (1 - SLOWEST) * hindered
        self._at, self._waited = at, waited
        return self._seconds


def waited_for_cpu() -> float:
    """Seconds since boot in which some task waited for a CPU; 0 when the kernel does not say."""
    try:
        some = PRESSURE.read_text().splitlines()[0]
    except (OSError, IndexError):
        return 0.0
    return int(some.rpartition("total=")[2]) / 1e6
