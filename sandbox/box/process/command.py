"""The bubblewrap command line of a box."""

from collections.abc import Iterator, Mapping, Sequence

from sandbox.box.files import UID
from sandbox.box.launched import SHM_BYTES, Inside
from sandbox.box.process.toolbox import Toolbox
from sandbox.box.spec import Limits

# The descriptors that bubblewrap finds open, after stdin, stdout and stderr. It closes each
# before it starts the program.
ARGS_FD, SECCOMP_FD, STATUS_FD, BLOCK_FD = 3, 4, 5, 6


def command_line(tools: Toolbox, command: Sequence[str]) -> list[str]:
    """Return what to execute; the rest is in `arguments`, which no other process can read."""
    return [str(tools.bubblewrap), "--args", str(ARGS_FD), "--", *command]


def arguments(tools: Toolbox, inside: Inside, limits: Limits) -> bytes:
    """Return the arguments of bubblewrap in the form of its --args."""
    parts = (
        _isolation(),
        _system(tools),
        _own_files(inside, limits),
        _environment(inside.environment),
    )
    return b"".join(word.encode() + b"\0" for part in parts for word in part)


def _isolation() -> Iterator[str]:
    yield from ("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent")
    yield from ("--new-session", "--cap-drop", "ALL", "--hostname", "box")
    yield from ("--uid", str(UID), "--gid", str(UID))
    yield from ("--add-seccomp-fd", str(SECCOMP_FD), "--json-status-fd", str(STATUS_FD))
    yield from ("--block-fd", str(BLOCK_FD))


def _system(tools: Toolbox) -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for folder in ("bin", "sbin", "lib", "lib64"):
        yield from ("--symlink", f"usr/{folder}", f"/{folder}")
    for file in sorted(tools.etc.iterdir()):
        yield from ("--ro-bind", str(file), f"/etc/{file.name}")
    for path in ("/etc/ld.so.cache", "/etc/alternatives"):
        yield from ("--ro-bind-try", path, path)
    yield from ("--proc", "/proc", "--dev", "/dev")
    yield from ("--size", str(SHM_BYTES), "--tmpfs", "/dev/shm")  # noqa: S108
    # The kernel has one number of terminals for the whole machine; a box gets none.
    yield from ("--size", "4096", "--tmpfs", "/dev/pts", "--remount-ro", "/dev/pts")
    yield from ("--remount-ro", "/dev")


def _own_files(inside: Inside, limits: Limits) -> Iterator[str]:
    for where, folder in inside.mounts.items():
        yield from ("--ro-bind", str(folder), where)
    yield from ("--ro-bind", str(inside.source), "/app", "--chdir", "/app")
    yield from ("--size", str(limits.tmp_mb << 20), "--tmpfs", "/tmp")  # noqa: S108
    yield from ("--remount-ro", "/")


def _environment(env: Mapping[str, str]) -> Iterator[str]:
    yield "--clearenv"
    for name, value in env.items():
        yield from ("--setenv", name, value)
