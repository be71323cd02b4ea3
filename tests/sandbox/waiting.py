"""Waits of tests: for a condition, never for a time."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


async def until(condition: Callable[[], bool], within: float = 20.0) -> None:
    """Return once `condition` holds; fail the test when it does not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not reached within {within} s: {condition}"
        await asyncio.sleep(0.01)


async def freeze(pid: int) -> None:
    """Stop the process and return once each of its threads is stopped: a signal takes its time."""
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: _is_stopped(pid))


def _is_stopped(pid: int) -> bool:
    stats = [stat.read_text() for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
