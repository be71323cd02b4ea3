"""What goes to a driver, and what it hands over: a box whose program has been started."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox.box.fds import Fds
from sandbox.box.output import Metered
from sandbox.box.room import Room

START_S = 60  # takes 0.03 or 0.3; more than this only when the machine stands still
SHM_BYTES = 16 << 20
DEFAULT_ENV = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108


@dataclass(frozen=True)
class Inside:
    """What a program finds in its box.

    source: host folder shown as /app. mounts: path inside -> what of the host is there. All
    read-only. environment: all of it.
    """

    source: Path
    mounts: Mapping[str, Path]
    environment: Mapping[str, str]


class Holder(Protocol):
    """What stands around a box on its driver's side."""

    async def pump(self, stdout: Metered, stderr: Metered) -> None:
        """Hand on all that is printed until nothing can write any more."""

    def signal(self, signum: int) -> None:
        """Send a signal to a program that is no process of this machine, or was never seen."""

    async def report(self) -> int | None:
        """Return how the program ended once all of the box has: its exit code, 128+n when signal n
        ended it; None when something from outside ended the holder itself, or the whole box."""

    async def remove(self) -> None:
        """Remove what the driver made. Raises BoxError when that is refused."""


@dataclass(frozen=True)
class Launched:
    """A running box.

    init: pidfd of the first process inside; when it has ended, no other is left. program: pidfd
    of the program, None if it ended before we saw it, or runs on a kernel of its own. network: the
    box's network namespace.
    """

    room: Room
    fds: Fds  # closes the descriptors of all of this, but the doors
    holder: Holder
    init: int
    program: int | None
    network: int
    doors: dict[int, socket.socket]
