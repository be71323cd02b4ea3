"""Waits of tests: for a condition, never for a time."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], bool], within: float = 20.0) -> None:
    """Return once `condition` holds; fail the test when it does not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not reached within {within} s: {condition}"
        await asyncio.sleep(0.01)
