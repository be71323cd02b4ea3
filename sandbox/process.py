"""Child processes that never outlive us, and the sweep for those that did.

A child is started by `setpriv --pdeathsig`: the kernel signals it when the *thread* that forked it
ends, so spawn from the thread that runs the event loop, never from a helper thread. That leaves one
small gap (we die between fork and prctl) and the files; `sweep` closes both. It trusts only a
process id together with the moment that process started: ids are used again, that pair is not.
"""

import asyncio
import contextlib
import fcntl
import os
import pwd
import secrets
import select
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sandbox.home import Home, home, make_folder

SERVICE_USER = "offsetzero"
GRACE_S = 2.0  # for a child to end by the signal that our end sent it


class SandboxError(RuntimeError):
    """Something the platform needs is missing or does not work; says what, where and what to do."""


def service_user() -> str | None:
    """Return the unprivileged system user that services run as, None when we are not root.

    Raises SandboxError when we are root and set-up has not made the user.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SERVICE_USER).pw_name
    except KeyError:
        raise SandboxError(
            f"The system user '{SERVICE_USER}' does not exist. Run: offsetzero setup"
        ) from None


def make_service_user() -> None:
    """Make the system user of `service_user`, when we are root and it is absent."""
    with contextlib.suppress(KeyError):
        if os.geteuid() != 0 or pwd.getpwnam(SERVICE_USER):
            return
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    try:
        subprocess.run([*command, SERVICE_USER], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        raise SandboxError(
            f"Cannot make the system user '{SERVICE_USER}' that Kafka and PostgreSQL run as: "
            f"{detail.strip()}. Make it by hand, or run as an ordinary user."
        ) from error


def give_to_service(folder: Path, mode: int = 0o700) -> Path:
    """Make `folder`, owned by the service user (ourselves when not root), and return it."""
    make_folder(folder).chmod(mode)
    own_by_service(folder)
    return folder


def own_by_service(path: Path) -> None:
    """Give `path` to the service user; nothing to do when we are not root."""
    if user := service_user():
        shutil.chown(path, user, pwd.getpwnam(user).pw_gid)


async def spawn(
    command: Sequence[str | Path],
    *,
    env: dict[str, str],
    output: int | IO[bytes] = subprocess.DEVNULL,
    dies_by: str | None = "KILL",
) -> asyncio.subprocess.Process:
    """Start `command` as the service user with exactly `env`, its output and errors to `output`.

    `dies_by` is the signal that it gets when we end, None for none. It leads a session of its own,
    so a Ctrl-C in our terminal does not reach it before we do.
    """
    user = service_user()
    leash = ["setpriv", "--pdeathsig", dies_by, "--no-new-privs"] if dies_by else []
    return await asyncio.create_subprocess_exec(
        *leash,
        *command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=env,
        cwd="/",
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        start_new_session=True,
    )


async def run(command: Sequence[str | Path], failure: str) -> None:
    """Run `command` to its end as the service user; SandboxError that starts with `failure`.

    Killed when we are cancelled meanwhile.
    """
    env = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
    process = await spawn(command, env=env, output=subprocess.PIPE, dies_by=None)
    try:
        output, errors = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        words = (errors or output).decode(errors="replace").strip()
        raise SandboxError(f"{failure}: {words or f'exit code {process.returncode}'}")


@contextlib.asynccontextmanager
async def exclusive(lock: Path, waiting: Callable[[], None] | None = None) -> AsyncIterator[None]:
    """Let one process of this machine at a time into the block; call `waiting` if we must wait."""
    with lock.open("wb") as file:
        while not _try_lock(file):
            if waiting:
                waiting()
                waiting = None
            await asyncio.sleep(0.1)  # the kernel tells nobody when a lock is free
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def started(pid: int) -> str | None:
    """Return the moment process `pid` started, as a text no other process of that id has.

    None when there is no such process, or only the zombie of it.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    state, start_ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot_id()}/{start_ticks}"


def boot_id() -> str:
    """Return the id of the running boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Identity:
    """A process that can be told from any later one with the same id."""

    pid: int
    moment: str | None

    @classmethod
    def of(cls, pid: int) -> "Identity":
        return cls(pid, started(pid))

    @classmethod
    def parse(cls, text: str) -> "Identity":
        """Read what `str` wrote; ValueError when it is anything else."""
        pid, moment = text.split()
        return cls(int(pid), moment)

    def __str__(self) -> str:
        return f"{self.pid} {self.moment}"

    @property
    def alive(self) -> bool:
        return self.moment is not None and started(self.pid) == self.moment

    def kill(self, after: float = 0.0) -> None:
        """Kill exactly this process, if it still runs `after` so many seconds, and wait until it is
        gone."""
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                # Asked after the handle is ours: it cannot become another's.
                if self.alive and not select.select([handle], [], [], after)[0]:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    select.select([handle], [], [], 5.0)
            finally:
                os.close(handle)


def all_in(folder: Path) -> Iterator[Identity]:
    """Give every process whose current directory is `folder` or below it."""
    for entry in Path("/proc").glob("[0-9]*"):
        process = Identity.of(int(entry.name))  # before its directory is read: it stays the same
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(folder):
                yield process


def kill_all_in(folder: Path) -> None:
    """Kill what `all_in` finds, and wait until each is gone: children of a server that could not
    end them itself."""
    for process in all_in(folder):
        process.kill()


class Scratch:
    """A folder of the state that belongs to this process, with the children that work in it.

    Its file `lease` names the owner on the first line and each child on a further one. The lease
    and the folder stay ours; a child writes only in folders below, made with `give_to_service`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextlib.contextmanager
    def draft(cls, kind: str) -> Iterator["Scratch"]:
        """Give the block a new folder, which is removed only if the block fails."""
        scratch = cls.create(kind)
        try:
            yield scratch
        except BaseException:
            scratch.remove()
            raise

    @classmethod
    def create(cls, kind: str) -> "Scratch":
        parent = make_folder(home().state / "scratch")
        scratch = cls(parent / f"{kind}-{secrets.token_hex(6)}")
        # The lease must be there as soon as the folder is: a sweep beside us would remove it.
        draft = parent / f".{scratch.path.name}"
        make_folder(draft)
        (draft / "lease").write_text(f"{Identity.of(os.getpid())}\n")
        draft.rename(scratch.path)
        return scratch

    def adopt(self, pid: int) -> None:
        """Record that child `pid` works here, so a sweep kills it once we are gone."""
        with (self.path / "lease").open("a") as lease:
            lease.write(f"{Identity.of(pid)}\n")

    def remove(self) -> None:
        """Remove the folder with all in it; its children must have ended."""
        shutil.rmtree(self.path, ignore_errors=True)

    def sweep(self) -> bool:
        """Kill the children and remove the folder if its owner is gone; tell whether it was."""
        try:
            owner, *children = map(Identity.parse, (self.path / "lease").read_text().splitlines())
        except (OSError, ValueError):  # half made, or just being removed
            return False
        if owner.alive:
            return False
        for child in children:
            child.kill(after=GRACE_S)
        kill_all_in(self.path)
        self.remove()
        return True


def sweep(where: Home) -> list[str]:
    """Kill and remove what dead owners left in the state; return the names of what was removed."""
    folders = sorted((where.state / "scratch").glob("*"))
    return [folder.name for folder in folders if Scratch(folder).sweep()]
