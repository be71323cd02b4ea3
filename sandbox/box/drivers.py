"""The driver of this process: who makes its boxes."""

import asyncio
import os
from collections.abc import Sequence
from typing import Protocol

from sandbox.box.cgroupfs import sweep_groups
from sandbox.box.launched import Inside, Launched
from sandbox.box.spec import BoxError, Limits

DRIVERS = ("process", "docker")


class Driver(Protocol):
    """A module `launch` of each driver."""

    async def launch(
        self, command: Sequence[str], inside: Inside, limits: Limits, door_ports: Sequence[int]
    ) -> Launched:
        """Start a box; its doors are open before the program's first instruction.

        Raises BoxError when this machine does not let the driver make it.
        """


def driver_name() -> str:
    """Return which driver the environment names: OFFSETZERO_DRIVER, default "process".

    Raises BoxError for a name that is none.
    """
    name = os.environ.get("OFFSETZERO_DRIVER") or DRIVERS[0]
    if name not in DRIVERS:
        raise BoxError(f"OFFSETZERO_DRIVER is {name!r}; set it to {' or '.join(DRIVERS)}.")
    return name


def driver() -> Driver:
    """Return the driver that `driver_name` tells."""
    if driver_name() == "docker":
        from sandbox.box.docker import launch as docker  # needs no engine, but takes 0.1 s to load

        return docker
    from sandbox.box.process import launch as process

    return process


async def sweep_boxes() -> list[str]:
    """End and remove every box whose supervisor has ended; return the names of what was left."""
    found = await sweep_groups()
    if driver_name() == "docker":
        from sandbox.box.docker.engine import sweep_containers

        found += await asyncio.to_thread(sweep_containers)
    return sorted(set(found))
