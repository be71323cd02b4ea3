"""How a program ended is told from what three witnesses know."""

import signal

import pytest

from sandbox.box import Exit
from sandbox.box.ending import how_it_ended
from sandbox.box.process.launch import reported_exit

EXITED_3, KILLED = 3 << 8, int(signal.SIGKILL)


@pytest.mark.parametrize(
    ("status", "told", "exceeded", "cause", "expected"),
    [
        (EXITED_3, 3, None, None, Exit(3, None, "exited")),
        (None, 3, None, None, Exit(3, None, "exited")),
        # 128+n: exact where the kernel tells, else taken for a signal.
        (137 << 8, 137, None, None, Exit(137, None, "exited")),
        (None, 137, None, None, Exit(None, 9, "exited")),
        (None, 255, None, None, Exit(255, None, "exited")),
        (15, 143, None, None, Exit(None, 15, "exited")),
        # We killed it: with and without a word from the driver.
        (KILLED, None, None, "killed", Exit(None, 9, "killed")),
        (None, None, None, "wall-clock", Exit(None, 9, "wall-clock")),
        (KILLED, 137, None, "killed", Exit(None, 9, "killed")),
        # It was over before our kill arrived.
        (EXITED_3, 3, None, "killed", Exit(3, None, "exited")),
        (15, 143, None, "wall-clock", Exit(None, 15, "exited")),
        # Over a limit, whatever came after.
        (KILLED, None, "memory", "memory", Exit(None, 9, "memory")),
        (0, 0, "pids", None, Exit(0, None, "pids")),
        (EXITED_3, 3, None, "output", Exit(3, None, "output")),
        (KILLED, None, "memory", "killed", Exit(None, 9, "memory")),
        # Somebody else killed what holds the box.
        (KILLED, None, None, None, Exit(None, 9, "lost")),
        (None, None, None, None, Exit(None, None, "lost")),
    ],
)
def test_how_it_ended(status, told, exceeded, cause, expected):
    assert how_it_ended(status, told, exceeded, cause) == expected


@pytest.mark.parametrize(
    ("written", "code"),
    [
        (b"", None),
        (b'{ "child-pid": 7 }\n', None),
        (b'{ "child-pid": 7 }\n{ "exit-code": 137 }\n', 137),
        (b'{ "exit-code": 0 }\n', 0),
    ],
)
def test_what_bubblewrap_reports(written, code):
    assert reported_exit(written) == code
