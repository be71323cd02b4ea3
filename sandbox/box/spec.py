"""What a box is asked to hold to, and how it ended."""

from dataclasses import dataclass
from typing import Literal

from sandbox.process import SandboxError

Reason = Literal["exited", "killed", "memory", "pids", "wall-clock", "output", "lost"]


class BoxError(SandboxError):
    """A box could not be made or started; the text says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """What one box may use. Over memory, pids, output or wall clock, the whole box is ended."""

    memory_mb: int = 512  # all its processes and its /tmp together; no swap
    cpus: float = 1.0  # cores; more is throttled, not punished
    pids: int = 128  # processes and threads
    file_mb: int = 32  # of one file; more is EFBIG inside
    tmp_mb: int = 64  # of /tmp; more is ENOSPC inside
    output_bytes: int = 2_000_000  # stdout and stderr together; each line costs 32 bytes more
    wall_s: float = 180.0
    nofile: int = 256  # open descriptors of one process; more is EMFILE inside


@dataclass(frozen=True)
class Exit:
    """How the program of a box ended.

    code: its exit code, None when a signal ended it.
    signal: the signal that ended it, None when it exited. Exact from Linux 6.15; before, a program
        that exits with 128+n cannot be told from one that signal n ended, and counts as the latter.
    reason: "exited" by itself (or by a signal that was not our SIGKILL), "killed" by us, the limit
        it went over, or "lost": something else ended the box, so nothing follows for the program.
    """

    code: int | None
    signal: int | None
    reason: Reason
