"""Server processes of ours that work in a scratch folder and never outlive us."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from sandbox.process import SandboxError, Scratch, spawn, started

START_TIMEOUT = 60.0
ATTEMPTS = 3

T = TypeVar("T")


class PortTaken(SandboxError):
    """Another process took a port between our choice and the server's bind."""


class Daemon:
    """A running server process, and the scratch folder it works in.

    data: the server's own folder in it, gone after `kill`.
    NAME: what people call it. PORT_TAKEN: its last words when it could not listen. DIES_BY: the
    signal that it gets when we end.
    """

    NAME: ClassVar[str]
    PORT_TAKEN: ClassVar[str]
    DIES_BY: ClassVar[str] = "KILL"

    def __init__(self, process: asyncio.subprocess.Process, scratch: Scratch) -> None:
        self._process = process
        self._scratch = scratch
        self.data = scratch.path / "data"

    @classmethod
    async def spawn(
        cls, scratch: Scratch, command: Sequence[str | Path]
    ) -> asyncio.subprocess.Process:
        """Start `command` on `scratch`, its output in the file `log` there."""
        with (scratch.path / "log").open("wb") as log:
            process = await spawn(
                command, env={"LC_ALL": "C.UTF-8"}, output=log, dies_by=cls.DIES_BY
            )
        scratch.adopt(process.pid)
        return process

    @property
    def alive(self) -> bool:
        """Whether its process runs; it may still be frozen: `answers` asks it."""
        return self._process.returncode is None and started(self._process.pid) is not None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def answers(self, within: float) -> bool:
        """Tell whether it answers a client within so many seconds."""
        raise NotImplementedError

    async def ended(self) -> None:
        """Return once its process has ended, however it ended."""
        await self._process.wait()

    async def kill(self) -> None:
        """End it at once and remove its folder, also when the caller is cancelled meanwhile."""
        await to_the_end(self._kill())

    async def _kill(self) -> None:
        await self._kill_process()
        await asyncio.to_thread(self._scratch.remove)

    async def _kill_process(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def ready(self) -> Self:
        """Return once it answers; ended and removed when it does not. PortTaken when a port was
        taken, SandboxError when it ends or says nothing for a minute."""
        ended = asyncio.ensure_future(self.ended())
        answered = asyncio.ensure_future(self._first_answer())
        try:
            await asyncio.wait(
                (ended, answered), timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
            )
            if not answered.done():
                raise self._start_failure(ended.done())
            answered.result()
        except BaseException:
            await self.kill()
            raise
        finally:
            ended.cancel()
            answered.cancel()
        return self

    async def _first_answer(self) -> None:
        while not await self.answers(within=START_TIMEOUT):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.005)

    def _start_failure(self, ended: bool) -> SandboxError:
        log = (self._scratch.path / "log").read_text(errors="replace")
        if self.PORT_TAKEN in log:
            return PortTaken(f"a port of the {self.NAME} was taken by another process")
        what = f"ended with code {self._process.returncode}" if ended else "did not answer"
        return SandboxError(
            f"The {self.NAME} {what} while starting ({START_TIMEOUT:.0f} s "
            f"allowed). Its last words: {log[-2000:].strip() or '(none)'}"
        )


async def to_the_end(deed: Coroutine[Any, Any, T]) -> T:
    """Return what `deed` returns. It goes on when the caller is cancelled, however often, and that
    is raised when it is through."""
    doing = asyncio.ensure_future(deed)
    cancelled: asyncio.CancelledError | None = None
    while not doing.done():
        try:
            await asyncio.wait([doing])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled
    return doing.result()


async def on_free_ports(start: Callable[[], Awaitable[T]]) -> T:
    """Return what `start` returns, which chooses its ports anew when one of them was just taken."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(PortTaken):
            return await start()
    return await start()


def free_ports(count: int) -> list[int]:
    """Return `count` different free TCP ports of 127.0.0.1, below those the kernel gives to
    connections. Drawn by the system, so that processes with equal seeds do not draw alike."""
    ports: set[int] = set()
    while len(ports) < count:
        port = 20000 + secrets.randbelow(12000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            ports.add(port)
    return list(ports)
