"""What a box occupies on the host besides its processes."""

import asyncio
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from sandbox.box.files import copy_source
from sandbox.box.group import Group
from sandbox.box.groups import new_group
from sandbox.box.spec import Limits
from sandbox.process import Scratch

UIDS = range(1_900_000_000, 2_000_000_000)  # nobody hands these out
FEW_UIDS = range(61_184, 65_520)  # for a container that maps no more than 65 536


@dataclass(frozen=True)
class Room:
    """A folder, a group of processes and a user id (None: our own) for one box."""

    scratch: Scratch
    group: Group
    uid: int | None

    @classmethod
    def make(cls, source: Path, limits: Limits) -> "Room":
        scratch = Scratch.create("box")
        try:
            copy_source(source, scratch.path / "app")
            return cls(scratch, new_group(scratch.path.name, limits), _own_uid())
        except BaseException:
            scratch.remove()
            raise

    @property
    def app(self) -> Path:
        """The copy of the program's source."""
        return self.scratch.path / "app"

    async def clear(self) -> None:
        """End what is left of the box and remove its traces."""
        await self.group.remove()
        await asyncio.to_thread(self.scratch.remove)


def _own_uid() -> int | None:
    """Return a user id for one box, None when we may not change users.

    Drawn from so many that two boxes do not meet: no list of who has which need be kept.
    """
    if os.geteuid() != 0:
        return None
    first, _, count = map(int, Path("/proc/self/uid_map").read_text().split()[:3])
    return secrets.choice(UIDS if first + count > UIDS.stop else FEW_UIDS)
