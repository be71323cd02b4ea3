"""A box: one untrusted program, confined by a driver, observed and ended from outside."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.box import pidfd
from sandbox.box.drivers import driver
from sandbox.box.ending import how_it_ended
from sandbox.box.fds import readable
from sandbox.box.group import run_delay
from sandbox.box.keeper import keeper
from sandbox.box.launched import DEFAULT_ENV, Inside, Launched
from sandbox.box.output import Budget, Lines, Metered, OnBytes, OnLine, Pieces
from sandbox.box.spec import Exit, Limits, Reason

WATCH_S = 0.1  # between two looks at the limits


class Box:
    """One run of one program. It ends when the program does, or on a limit, or on `kill`.

    doors: port -> socket listening on 127.0.0.1 inside; whoever serves a door closes it.
    """

    def __init__(
        self,
        name: str,
        launched: Launched,
        limits: Limits,
        on_output: OnLine,
        on_stdout: OnBytes | None = None,
    ) -> None:
        self.name = name
        self.doors: Mapping[int, socket.socket] = launched.doors
        self._launched, self._group = launched, launched.room.group
        self._cause: Reason | None = None
        self._over = False
        budget = Budget(limits.output_bytes, lambda: self._end("output"))
        stdout = Pieces(on_stdout) if on_stdout else Lines("stdout", on_output)
        self._streams = Metered(budget, stdout), Metered(budget, Lines("stderr", on_output))
        self._deadline = asyncio.get_running_loop().time() + limits.wall_s
        self._exit = asyncio.create_task(self._supervise(), name=f"box {name}")

    @classmethod
    async def start(
        cls,
        name: str,
        *,
        command: Sequence[str],
        source: Path,
        on_output: OnLine,
        env: Mapping[str, str] | None = None,
        door_ports: Sequence[int] = (),
        limits: Limits | None = None,
        mounts: Mapping[str, Path] | None = None,
        on_stdout: OnBytes | None = None,
    ) -> "Box":
        """Start `command` in a box of its own, with `source` copied to /app.

        env: its whole environment, besides PATH, HOME=/tmp and LANG. mounts: further host
        folders by their path inside; all read-only. on_output: called with "stdout" or "stderr"
        and one line, in the event loop. on_stdout: takes stdout instead, bytes as they come. The
        doors are open before the first instruction. Raises BoxError.
        """
        inside = Inside(source, mounts or {}, {**DEFAULT_ENV, **(env or {})})
        limits = limits or Limits()
        launching = asyncio.create_task(driver().launch(command, inside, limits, door_ports))
        try:
            return cls(name, await asyncio.shield(launching), limits, on_output, on_stdout)
        except asyncio.CancelledError:
            # Half a box must not be forgotten: it would run without anybody watching it.
            await cls(name, await launching, limits, on_output).kill()
            raise

    @property
    def alive(self) -> bool:
        return not self._over

    @property
    def cpu_seconds(self) -> float:
        """CPU time consumed so far by all processes of the box."""
        return self._group.cpu_seconds

    @property
    def starved_seconds(self) -> float:
        """How long the threads that it has now were ready to run and waited for a CPU, all
        together; 0 where the kernel does not say."""
        return run_delay(self._group.pids())

    async def connect(self, port: int) -> socket.socket:
        """Return a non-blocking socket connected to 127.0.0.1:port inside.

        Raises ConnectionRefusedError when nothing listens there, or the box is over.
        """
        if self._over:
            raise ConnectionRefusedError(f"the box {self.name} is over")
        return await keeper().connect(self._launched.network, port)

    def signal(self, signum: int) -> None:
        """Send a signal to the program itself; nothing happens when it has ended."""
        if self._over:
            return
        if self._launched.program is None:
            self._launched.holder.signal(signum)
        else:
            pidfd.send(self._launched.program, signum)

    async def freeze(self) -> None:
        """Stop every process of the box; return once none runs, or the box is over."""
        with self._unless_over():
            await self._group.freeze()

    async def thaw(self) -> None:
        """Let every process of the box run again."""
        with self._unless_over():
            self._group.thaw()

    @contextlib.contextmanager
    def _unless_over(self) -> Iterator[None]:
        """Ignore that the group of processes is gone when the box has ended meanwhile."""
        try:
            yield
        except OSError:
            if not self._over:
                raise

    async def kill(self) -> Exit:
        """End every process of the box as SIGKILL does; return once nothing is left of it."""
        self._end("killed")
        return await self.wait()

    async def wait(self) -> Exit:
        """Return how the program ended, once no process, cgroup or file of the box is left."""
        return await asyncio.shield(self._exit)

    def _end(self, cause: Reason) -> None:
        if not self._over:
            self._cause = self._cause or cause
            self._group.kill()

    async def _supervise(self) -> Exit:
        launched = self._launched
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._watch())
                tasks.create_task(launched.holder.pump(*self._streams))
                await readable(launched.init)
                watch.cancel()
        finally:
            self._over = True
            with launched.fds:
                self._group.kill()
                await readable(launched.init)
                try:
                    ended = await self._how_it_ended()
                finally:
                    await launched.room.clear()
            await launched.holder.remove()
        return ended

    async def _watch(self) -> None:
        """End the box when it goes over a limit."""
        while True:
            if asyncio.get_running_loop().time() >= self._deadline:
                self._end("wall-clock")
            if exceeded := self._group.exceeded():
                self._end(exceeded)
            await asyncio.sleep(WATCH_S)

    async def _how_it_ended(self) -> Exit:
        launched = self._launched
        told = await launched.holder.report()
        status = None if launched.program is None else pidfd.wait_status(launched.program)
        return how_it_ended(status, told, self._group.exceeded(), self._cause)
