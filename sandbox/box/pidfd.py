"""Processes by descriptor: an id can be used again by another process, a pidfd cannot."""

import contextlib
import fcntl
import signal
import struct
from pathlib import Path

PIDFD_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes), Linux 6.13
PIDFD_INFO_EXIT = 1 << 3  # Linux 6.15
INFO = struct.Struct("=QQ11Ii")  # mask, cgroup id, eleven ids, wait status; 64 bytes


def send(pidfd: int, signum: int) -> None:
    """Send a signal; nothing happens when the process has ended."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signum)


def wait_status(pidfd: int) -> int | None:
    """Return how the process ended, in the form of os.wait; None while it lives.

    None too where the kernel cannot tell (before Linux 6.15).
    """
    info = bytearray(INFO.pack(PIDFD_INFO_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError:
        return None
    mask, *_, status = INFO.unpack(info)
    return status if mask & PIDFD_INFO_EXIT else None


def first_child(pid: int) -> int | None:
    """Return the first child of `pid`, None while it has none, or when it has ended."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None
    return None


def same_program(pid: int, other: int) -> bool:
    """Tell whether two processes execute the same file; no when one has ended or hides it."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/exe").samefile(f"/proc/{other}/exe")
    return False
