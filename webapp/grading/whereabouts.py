"""Names of workers, which tell on their own machine whether they are still there."""

import os
from pathlib import Path

from sandbox.process import Identity, boot_id


def own_name() -> str:
    """The name of this process as a worker: the machine, then the process."""
    return f"{_here()} {Identity.of(os.getpid())}"


def known_dead(worker: str) -> bool:
    """Whether a worker is certainly gone; False for those of other machines."""
    place, _, process = worker.partition(" ")
    return place == _here() and not Identity.parse(process).alive


def _here() -> str:
    """This boot of this machine, and the space of process ids that we see (a container's own)."""
    return f"{boot_id()}/{Path('/proc/self/ns/pid').readlink()}"
