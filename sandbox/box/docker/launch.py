"""Starting a box at the engine: it waits at its gate until its doors are open."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sandbox.box import cgroupfs, pidfd
from sandbox.box.docker import container as containers
from sandbox.box.docker.container import GATE, Container, Wanted
from sandbox.box.docker.engine import engine, remaps_users
from sandbox.box.docker.runtime import check_runtime, has_own_kernel, widened
from sandbox.box.fds import Fds, readable_now
from sandbox.box.files import UID, write_etc
from sandbox.box.keeper import keeper
from sandbox.box.launched import START_S, Inside, Launched
from sandbox.box.room import Room
from sandbox.box.spec import BoxError, Limits


async def launch(
    command: Sequence[str], inside: Inside, limits: Limits, door_ports: Sequence[int]
) -> Launched:
    """Start a box. Raises BoxError when there is no engine, or it cannot make one."""
    if os.geteuid() != 0:
        raise BoxError("The driver `docker` enters the boxes' networks: start us as root.")
    limits = widened(limits)
    room = await asyncio.to_thread(Room.make, inside.source, limits)
    try:
        with Fds() as fds:
            container = await asyncio.to_thread(_start, room, command, inside, limits, fds)
            try:
                async with asyncio.timeout(START_S):
                    return await _run(room, fds, container, door_ports)
            except BaseException as error:
                await container.remove()
                if isinstance(error, TimeoutError):
                    raise BoxError(f"The box did not start within {START_S} s.") from None
                raise
    except BaseException:
        await room.clear()
        raise


def _start(
    room: Room, command: Sequence[str], inside: Inside, limits: Limits, fds: Fds
) -> Container:
    owner = cgroupfs.box_name(room.scratch.path.name)
    with engine("making a box") as client:
        uid = UID if room.uid is None or remaps_users(client) else room.uid
        etc = write_etc(room.scratch.path / "etc", uid)
        mounts = {**inside.mounts, **{f"/etc/{file.name}": file for file in etc.iterdir()}}
        shown = replace(inside, source=room.app, mounts=mounts)
        check_runtime(client)
        return containers.start(client, Wanted(owner, uid, command, shown, limits), fds)


async def _run(room: Room, fds: Fds, container: Container, door_ports: Sequence[int]) -> Launched:
    network = fds.keep(os.open(f"/proc/{container.pid}/ns/net", os.O_RDONLY))
    gate = None if has_own_kernel() else await _gate(container)
    program = None if gate is None else fds.keep(os.pidfd_open(gate))
    for pid in container.processes() if gate is None else (container.pid, gate):
        _join(room, pid)
    room.group.enclose(container.pid)
    async with keeper().doors(network, door_ports) as doors:
        container.open_gate()
        if gate is not None:
            await _passed(gate)
    return Launched(room, fds.pop_all(), container, container.init, program, network, doors)


def _join(room: Room, pid: int) -> None:
    """Move a process to our own group: all that count, freeze and end boxes do it alike, and what
    they counted is still there when the engine has removed its own group."""
    for folder in room.group.joins:
        (folder / "cgroup.procs").write_text(str(pid))


async def _gate(container: Container) -> int:
    """Return the pid of what is to become the program: the only child of the first process."""
    while not readable_now(container.init):
        if (pid := pidfd.first_child(container.pid)) is not None:
            return pid
        await asyncio.sleep(0.0005)
    raise BoxError(f"A container ended before its program began, with {await container.report()}.")


async def _passed(gate: int) -> None:
    """Return once the gate has become the program: before, a signal would end the gate."""
    words = GATE.encode()
    with contextlib.suppress(OSError):  # over already
        while words in Path(f"/proc/{gate}/cmdline").read_bytes():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.0005)
