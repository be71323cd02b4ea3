"""What this machine lets a box assure, and what is asked of it."""

import os
from dataclasses import dataclass

from sandbox.box.drivers import driver_name
from sandbox.box.groups import group_kind
from sandbox.box.process_tree import ProcessTree
from sandbox.box.spec import BoxError

LEVELS = ("basic", "full")


@dataclass(frozen=True)
class Assurance:
    """What a box of this machine holds to.

    level: "basic" keeps a program in; "full" also keeps it from hurting the next one.
    driver: who makes the boxes.
    limits: who enforces them: "cgroup v1", "cgroup v2" or "rlimits".
    own_user: whether each box has a user id of its own.
    gaps: what is weaker than it could be, a sentence each; empty at full strength.
    """

    level: str
    driver: str
    limits: str
    own_user: bool
    gaps: tuple[str, ...]


def assurance() -> Assurance:
    own_user = os.geteuid() == 0
    gaps = []
    if not own_user:
        gaps.append("All boxes run as the user of this process; started as root, each has its own.")
    kind = group_kind()
    if kind == ProcessTree.kind:
        gaps += [
            "Control groups cannot be written here: memory is watched, not capped, files in "
            "memory are not counted, and one program can take the CPU from another.",
        ]
    level = LEVELS[0] if gaps else LEVELS[-1]
    return Assurance(level, driver_name(), kind, own_user, tuple(gaps))


def required_level(serves_strangers: bool) -> str:
    """Return the least level to run strangers' programs with: OFFSETZERO_ASSURANCE; by default
    "full" where others than the people of this machine are served.

    Raises BoxError for a level that is none.
    """
    level = os.environ.get("OFFSETZERO_ASSURANCE") or LEVELS[-1 if serves_strangers else 0]
    if level not in LEVELS:
        raise BoxError(f"OFFSETZERO_ASSURANCE is {level!r}; set it to {' or '.join(LEVELS)}.")
    return level


def check_level(serves_strangers: bool = False) -> None:
    """Raise BoxError when this machine does not reach the level that is required."""
    required, found = required_level(serves_strangers), assurance()
    if LEVELS.index(found.level) < LEVELS.index(required):
        raise BoxError(
            f"Boxes reach the level '{found.level}' here, and '{required}' is required to run "
            f"strangers' programs. {' '.join(found.gaps)} Start as root on a machine whose control "
            f"groups can be written, or accept less: OFFSETZERO_ASSURANCE={found.level}"
        )
