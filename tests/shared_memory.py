"""Shared memory of System V, which outlives who made it."""

from pathlib import Path


def segments_of(*pids: int) -> int:
    """How many segments there are that these processes made."""
    rows = [row.split() for row in Path("/proc/sysvipc/shm").read_text().splitlines()]
    maker = rows[0].index("cpid")
    return sum(int(row[maker]) in pids for row in rows[1:])
