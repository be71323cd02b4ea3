"""What the hostile programs share. They run inside a box, with the standard library alone."""

import ctypes
import errno
import sys
from collections.abc import Callable

libc = ctypes.CDLL(None, use_errno=True)


def attempt(what: str, action: Callable[[], object]) -> None:
    """Print `what: ok`, or `what: ENAME` when the action is refused."""
    try:
        action()
    except OSError as error:
        print(f"{what}: {errno.errorcode.get(error.errno, error)}")
    else:
        print(f"{what}: ok")


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call by its number (x86-64 or, from 424 on, any machine)."""
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = libc.syscall(ctypes.c_long(number), *wide)
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def call(function: Callable[..., int], *arguments: object) -> int:
    """Call a function of the C library; OSError when it returns -1."""
    result = function(*arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def main(programs: dict[str, object]) -> None:
    """Run the program that the command line names."""
    programs[sys.argv[1]]()
