"""How a program ended is told from what three witnesses know."""

import signal

import pytest

from sandbox.box import Exit
from sandbox.box.ending import how_it_ended

EXITED_3, KILLED = 3 << 8, int(signal.SIGKILL)
NOTHING = b""


def report(code: int) -> bytes:
    return b'{ "exit-code": %i }\n' % code


@pytest.mark.parametrize(
    ("status", "told", "exceeded", "cause", "expected"),
    [
        (EXITED_3, report(3), None, None, Exit(3, None, "exited")),
        (None, report(3), None, None, Exit(3, None, "exited")),
        # 128+n: exact where the kernel tells, else taken for a signal.
        (137 << 8, report(137), None, None, Exit(137, None, "exited")),
        (None, report(137), None, None, Exit(None, 9, "exited")),
        (None, report(255), None, None, Exit(255, None, "exited")),
        (15, report(143), None, None, Exit(None, 15, "exited")),
        # We killed it: with and without a word from bubblewrap.
        (KILLED, NOTHING, None, "killed", Exit(None, 9, "killed")),
        (None, NOTHING, None, "wall-clock", Exit(None, 9, "wall-clock")),
        (KILLED, report(137), None, "killed", Exit(None, 9, "killed")),
        # It was over before our kill arrived.
        (EXITED_3, report(3), None, "killed", Exit(3, None, "exited")),
        (15, report(143), None, "wall-clock", Exit(None, 15, "exited")),
        # Over a limit, whatever came after.
        (KILLED, NOTHING, "memory", "memory", Exit(None, 9, "memory")),
        (0, report(0), "pids", None, Exit(0, None, "pids")),
        (EXITED_3, report(3), None, "output", Exit(3, None, "output")),
        (KILLED, NOTHING, "memory", "killed", Exit(None, 9, "memory")),
        # Somebody else killed bubblewrap.
        (KILLED, NOTHING, None, None, Exit(None, 9, "lost")),
        (None, NOTHING, None, None, Exit(None, None, "lost")),
    ],
)
def test_how_it_ended(status, told, exceeded, cause, expected):
    assert how_it_ended(status, told, exceeded, cause) == expected
