"""One box at the engine: what it is made with, its stream, its end."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container as Handle
from docker.types import LogConfig, Mount, Ulimit

from sandbox.box import pidfd, seccomp
from sandbox.box.docker.engine import OWNER, engine, image
from sandbox.box.docker.runtime import IN_GVISOR, has_own_kernel, runtime_name
from sandbox.box.docker.stream import pump_frames
from sandbox.box.fds import Fds
from sandbox.box.group import OVERHEAD_PIDS
from sandbox.box.launched import SHM_BYTES, Inside
from sandbox.box.output import Metered
from sandbox.box.spec import BoxError, Limits

# The program waits here until its doors are open: one line comes, or the end when we have died.
# The engine would add HOSTNAME to its environment.
GATE = 'read -r go && unset HOSTNAME && exec "$@" </dev/null'

HAS_ENDED = (404, 409)  # what the engine answers about a container that does not run

# The kernel's own defaults, as a box of bubblewrap has them; the engine loosens the first two.
SETTINGS = {
    "net.ipv4.ip_unprivileged_port_start": "1024",
    "net.ipv4.ping_group_range": "1 0",
    "net.ipv6.conf.all.disable_ipv6": "0",
}


@dataclass(frozen=True)
class Wanted:
    """What a container is to be. owner: see `cgroupfs.box_name`. uid: of the program."""

    owner: str
    uid: int
    command: Sequence[str]
    inside: Inside
    limits: Limits


@dataclass(frozen=True)
class Container:
    """A started container, whose program waits at the gate.

    init: a pidfd of its first process, `pid` as this machine counts; with a kernel of its own, that
    kernel. stream: the connection that carries its output, and our word into it. signals: those
    that the engine was asked to send.
    """

    id: str
    pid: int
    init: int
    stream: int
    signals: list[asyncio.Future[None]] = field(default_factory=list)

    def open_gate(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is over already
            os.write(self.stream, b"\n")

    async def pump(self, stdout: Metered, stderr: Metered) -> None:
        await pump_frames(self.stream, stdout, stderr)

    def processes(self) -> Iterator[int]:
        """All processes of this machine that make up the container."""
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.id in (entry / "cgroup").read_text():
                    yield int(entry.name)

    def signal(self, signum: int) -> None:
        sending = asyncio.get_running_loop().run_in_executor(None, self._signal, signum)
        self.signals.append(sending)

    def _signal(self, signum: int) -> None:
        with engine("sending a signal") as client:
            try:
                client.api.kill(self.id, signum)
            except APIError as error:
                if error.status_code not in HAS_ENDED:
                    raise

    async def report(self) -> int | None:
        await asyncio.gather(*self.signals)  # one that we failed to send is no program's fault
        ended = pidfd.wait_status(self.init)
        if ended is not None and os.waitstatus_to_exitcode(ended) == -signal.SIGKILL:
            return None  # no program can do that to the first process of its box
        return await asyncio.to_thread(self._exit_code)

    def _exit_code(self) -> int:
        with engine("telling how a box ended") as client:
            return int(client.api.wait(self.id)["StatusCode"])

    async def remove(self) -> None:
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        with engine("removing a box") as client, contextlib.suppress(NotFound):
            client.api.remove_container(self.id, force=True, v=True)


def start(client: docker.DockerClient, wanted: Wanted, fds: Fds) -> Container:
    """Make a container and start it, up to its gate; `fds` keeps its descriptors.

    Raises BoxError, and then leaves none.
    """
    made = _create(client, wanted)
    try:
        stream = fds.keep(_attached(made))
        made.start()
        pid = _process(made)
        return Container(made.id, pid, fds.keep(os.pidfd_open(pid)), stream)
    except BaseException:
        made.remove(force=True, v=True)
        raise


def _create(client: docker.DockerClient, wanted: Wanted) -> Handle:
    return client.containers.create(
        image(client),
        ["/bin/sh", "-c", GATE, "gate", *wanted.command],
        labels={OWNER: wanted.owner},
        environment=wanted.inside.environment,
        mounts=[*_mounts(wanted.inside)],
        working_dir="/app",
        hostname="box",
        stdin_open=True,
        user=f"{wanted.uid}:{wanted.uid}",
        runtime=runtime_name(),
        **_confinement() | _limits(wanted.limits) | (IN_GVISOR if has_own_kernel() else {}),
    )


def _mounts(inside: Inside) -> Iterator[Mount]:
    """All that is shown of this machine, read-only: what bubblewrap shows, no more."""
    shown = {"/usr": Path("/usr"), "/app": inside.source, **inside.mounts}
    shown |= {
        path: Path(path)
        for path in ("/etc/ld.so.cache", "/etc/alternatives")
        if Path(path).exists()
    }
    for where, path in shown.items():
        yield Mount(where, str(path), type="bind", read_only=True)


def _confinement() -> dict[str, Any]:
    """What keeps a program in: no network, no capability, nothing to change."""
    return {
        "network_mode": "none",
        "ipc_mode": "private",
        "cgroupns": "private",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true", f"seccomp={seccomp.profile()}"],
        "read_only": True,
        "init": True,
        "sysctls": SETTINGS,
        "log_config": LogConfig(type=LogConfig.types.NONE),
    }


def _limits(limits: Limits) -> dict[str, Any]:
    """The limits of the engine. They hold for what our own group of processes (`Group`) could lose
    sight of; that one counts, and tells what a box went over."""
    tmp = f"rw,exec,nosuid,nodev,size={limits.tmp_mb}m,mode=1777"
    return {
        "mem_limit": limits.memory_mb << 20,
        "memswap_limit": limits.memory_mb << 20,  # the same: no swap
        "nano_cpus": int(limits.cpus * 1e9),
        "pids_limit": limits.pids + OVERHEAD_PIDS,
        "shm_size": SHM_BYTES,
        # The kernel has one number of terminals for the whole machine; a box gets none.
        "tmpfs": {"/tmp": tmp, "/dev/pts": "ro,size=4k,mode=755"},  # noqa: S108
        "oom_score_adj": 1000,
        "ulimits": [
            Ulimit(name=name, soft=value, hard=value)
            for name, value in (
                ("nofile", limits.nofile),
                ("fsize", limits.file_mb << 20),
                ("core", 0),
            )
        ],
    }


def _attached(made: Handle) -> int:
    """Return a descriptor of the connection that carries the container's input and output."""
    streams = {"stdin": True, "stdout": True, "stderr": True, "stream": True}
    connection = made.attach_socket(params=streams)
    try:
        return os.dup(connection.fileno())
    finally:
        connection._response.close()  # the client hangs it there, and offers nothing to close it


def _process(made: Handle) -> int:
    """Return the pid of a container's first process.

    Raises BoxError when it is not of this machine: then no door can be opened in it.
    """
    made.reload()
    pid = made.attrs["State"]["Pid"]
    try:
        of_container = made.id in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        of_container = False
    if not of_container:
        raise BoxError(
            "The Docker engine runs boxes where their processes cannot be seen from here: on "
            "another machine, or around the container that we are in. Use an engine of this "
            "machine, or the driver `process`."
        )
    return pid
