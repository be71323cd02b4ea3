"""How a program ended, from what the kernel, the driver and the supervisor know of it."""

import os
import signal

from sandbox.box.group import Exceeded
from sandbox.box.spec import Exit, Reason


def how_it_ended(
    status: int | None, told: int | None, exceeded: Exceeded | None, cause: Reason | None
) -> Exit:
    """Return the exit of a program.

    status: as of os.wait, None when the kernel did not tell. told: what the driver told, see
    `Holder.report`. exceeded: the limit that the kernel counted a hit of. cause: why we ended the
    box, None when we did not.
    """
    code, signum = _decoded(status, told)
    if limit := exceeded or (cause if cause == "output" else None):
        return Exit(code, signum, limit)
    if code is None and signum in (None, signal.SIGKILL) and cause:
        return Exit(None, int(signal.SIGKILL), cause)
    # Nobody of ours, and not the program either, which cannot reach its holder.
    lost = told is None and code is None
    return Exit(code, signum, "lost" if lost else "exited")


def _decoded(status: int | None, told: int | None) -> tuple[int | None, int | None]:
    """Return exit code and signal, one of them None; both when nobody knows."""
    if status is not None:
        code = os.waitstatus_to_exitcode(status)
        return (code, None) if code >= 0 else (None, -code)
    if told is not None and told - 128 in set(signal.Signals):
        return None, told - 128
    return told, None
