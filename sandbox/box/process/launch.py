"""Starting a box: bubblewrap makes it and waits, we open its doors, then the program starts."""

import asyncio
import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sandbox.box import pidfd
from sandbox.box.fds import Fds, memory_file, pending, readable, readable_now
from sandbox.box.keeper import Spawn, keeper
from sandbox.box.launched import START_S, Inside, Launched
from sandbox.box.output import Metered, pump
from sandbox.box.process.command import arguments, command_line
from sandbox.box.process.toolbox import toolbox
from sandbox.box.room import Room
from sandbox.box.spec import BoxError, Limits


@dataclass(frozen=True)
class Bubblewrap:
    """The bubblewrap of one box, seen from outside: a pidfd of it and our ends of its pipes."""

    monitor: int
    stdout: int
    stderr: int
    status: int  # what it reports of the box
    block: int  # a byte into it starts the program

    async def pump(self, stdout: Metered, stderr: Metered) -> None:
        await asyncio.gather(pump(self.stdout, stdout), pump(self.stderr, stderr))

    def signal(self, signum: int) -> None:
        """The program ended before it was seen."""

    async def report(self) -> int | None:
        await readable(self.monitor)
        return reported_exit(os.read(self.status, 4096))  # complete: its writer has ended

    async def remove(self) -> None:
        """Nothing is left of a bubblewrap that has ended."""


async def launch(
    command: Sequence[str], inside: Inside, limits: Limits, door_ports: Sequence[int]
) -> Launched:
    """Start a box. Raises BoxError when this machine does not let bubblewrap make it."""
    tools = await asyncio.to_thread(toolbox)
    room = await asyncio.to_thread(Room.make, inside.source, limits)
    try:
        args = arguments(tools, replace(inside, source=room.app), limits)
        with Fds() as fds:
            bubblewrap = await _spawn(room, fds, command_line(tools, command), args, limits)
            try:
                async with asyncio.timeout(START_S):
                    return await _run(room, fds, bubblewrap, door_ports)
            except (ProcessLookupError, FileNotFoundError) as error:  # its first process ended
                raise await _failure(bubblewrap) from error
            except TimeoutError:
                raise BoxError(f"The box did not start within {START_S} s.") from None
    except BaseException:
        await room.clear()
        raise


async def _run(room: Room, fds: Fds, bubblewrap: Bubblewrap, door_ports: Sequence[int]) -> Launched:
    init_pid = await _first_process(bubblewrap)
    init = fds.keep(os.pidfd_open(init_pid))
    network = fds.keep(os.open(f"/proc/{init_pid}/ns/net", os.O_RDONLY))
    room.group.enclose(init_pid)
    async with keeper().doors(network, door_ports) as doors:
        program = await _release(bubblewrap, init_pid)
    if program is not None:
        fds.keep(program)
    return Launched(room, fds.pop_all(), bubblewrap, init, program, network, doors)


async def _spawn(
    room: Room, fds: Fds, argv: Sequence[str], args: bytes, limits: Limits
) -> Bubblewrap:
    from sandbox.box import seccomp  # BoxError where the system's library is missing

    with Fds() as theirs:
        pairs = [os.pipe() for _ in range(4)]
        (stdout, out), (stderr, err), (status, report), (release, block) = pairs
        for fd in (stdout, stderr, status, block):
            fds.keep(fd)
        given = [os.open(os.devnull, os.O_RDONLY), out, err]
        given += [memory_file(args), memory_file(seccomp.program()), report, release]
        for fd in given:
            theirs.keep(fd)
        spawn = Spawn(argv, given, room.uid, _rlimits(limits), room.group.joins)
        pid, monitor = await keeper().spawn(spawn)
    fds.keep(monitor)
    room.scratch.adopt(pid)
    return Bubblewrap(monitor, stdout, stderr, status, block)


def _rlimits(limits: Limits) -> dict[str, int]:
    return {
        "RLIMIT_NOFILE": limits.nofile,
        "RLIMIT_FSIZE": limits.file_mb << 20,
        "RLIMIT_CORE": 0,
    }


def reported_exit(lines: bytes) -> int | None:
    """Return the exit code in what bubblewrap writes of a box, after its start; None when it was
    ended before it could write."""
    reports = [json.loads(line) for line in lines.splitlines()]
    return next((one["exit-code"] for one in reports if "exit-code" in one), None)


async def _first_process(bubblewrap: Bubblewrap) -> int:
    """Return the pid of the first process inside, as bubblewrap reports it."""
    report = b""
    while not report.endswith(b"\n"):  # it writes its first line piece by piece
        await readable(bubblewrap.status)
        if not (piece := os.read(bubblewrap.status, 4096)):
            raise await _failure(bubblewrap)
        report += piece
    return int(json.loads(report)["child-pid"])


async def _release(bubblewrap: Bubblewrap, init_pid: int) -> int | None:
    """Start the program; return a pidfd of it, None if it was over before we saw it."""
    with contextlib.suppress(BrokenPipeError):
        os.write(bubblewrap.block, b"x")
    while not readable_now(bubblewrap.monitor):
        if (program := await _executed(init_pid)) is not None:
            return program
        await asyncio.sleep(0.0005)
    if not pending(bubblewrap.status):  # it reports the exit of a program, none of its own
        raise await _failure(bubblewrap)
    return None


async def _executed(init_pid: int) -> int | None:
    """Return a pidfd of init's child once that has become the program; None if there is none.

    Before, it is still bubblewrap: a signal would end a program that never began.
    """
    pid = pidfd.first_child(init_pid)
    if pid is None:
        return None
    try:
        program = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    while pidfd.same_program(pid, init_pid):  # noqa: ASYNC110
        await asyncio.sleep(0.0005)
    return program


async def _failure(bubblewrap: Bubblewrap) -> BoxError:
    await readable(bubblewrap.monitor)
    words = os.read(bubblewrap.stderr, 4096) if pending(bubblewrap.stderr) else b""
    said = words.decode(errors="replace").strip() or "it gave no reason"
    return BoxError(
        f"bubblewrap could not make a box: {said}. `offsetzero doctor` tells what is missing."
    )
