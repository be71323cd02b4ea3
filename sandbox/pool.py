"""Warm backing services, lent to one submission each and destroyed afterwards."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from sandbox.backing import Backing
from sandbox.process import SandboxError

LEND_TIMEOUT = 60.0
ANSWER_TIMEOUT = 2.0
RETRY_AFTER = 2.0

log = logging.getLogger(__name__)


class Pool:
    """Keeps `size` backings warm. Each slot starts one, offers it, and starts the next once the
    offered one is taken or has died. Not `refills`: a slot starts the next only when somebody waits
    for it, for who needs no more as a rule; a start costs more than a second of CPU."""

    def __init__(self, size: int = 1, *, refills: bool = True) -> None:
        self._size = size
        self._refills = refills
        self._warm: dict[Backing, asyncio.Event] = {}  # the event: it was taken
        self._waiting = 0
        self._changed = asyncio.Condition()  # what is warm, or who waits
        self._slots: list[asyncio.Task[None]] = []
        self._failure: Exception | None = None

    @property
    def warm(self) -> int:
        """How many backings could be lent at once."""
        return len(self._warm)

    async def start(self) -> None:
        """Start filling the pool; returns at once. `lend` waits for the first backing."""
        self._slots = [asyncio.create_task(self._keep_one_warm()) for _ in range(self._size)]

    async def close(self) -> None:
        """Destroy what is warm. What is lent ends with its `lend`."""
        for slot in self._slots:
            slot.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)
        self._slots.clear()

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[Backing]:
        """Lend a backing that answered just now; it is destroyed at the end of the block.

        SandboxError when none could be had within a minute.
        """
        backing = await self._take()
        try:
            yield backing
        finally:
            await backing.kill()

    async def _take(self) -> Backing:
        try:
            async with asyncio.timeout(LEND_TIMEOUT):
                while True:
                    backing = await self._next()
                    if await self._usable(backing):
                        return backing
        except TimeoutError:
            reason = f": {self._failure}" if self._failure else ""
            raise SandboxError(
                f"No Kafka broker and PostgreSQL server were ready within {LEND_TIMEOUT:.0f} s"
                f"{reason}. Run: offsetzero doctor"
            ) from None

    async def _next(self) -> Backing:
        """Take what is warm, or wait for it."""
        async with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            try:
                await self._changed.wait_for(lambda: self._warm)
            finally:
                self._waiting -= 1
            backing, taken = self._warm.popitem()
            taken.set()
            return backing

    async def _usable(self, backing: Backing) -> bool:
        """Tell whether `backing` answers now. If not, or if we are cancelled while it is asked, end
        it."""
        usable = False
        try:
            usable = backing.alive and await backing.answers(within=ANSWER_TIMEOUT)
        finally:
            if not usable:
                await backing.kill()
        return usable

    async def _keep_one_warm(self) -> None:
        while True:
            try:
                backing = await Backing.start()
            except (SandboxError, OSError) as error:  # OSError: no space, too many files
                log.error("cannot start the backing services, trying again: %s", error)
                self._failure = error
                await asyncio.sleep(RETRY_AFTER)
                continue
            await self._offer(backing)
            if not self._refills:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._waiting > len(self._warm))

    async def _offer(self, backing: Backing) -> None:
        """Return once `backing` is taken, or has ended without; destroy it when it is not taken."""
        taken = asyncio.Event()
        waits = [asyncio.create_task(taken.wait()), asyncio.create_task(backing.ended())]
        try:
            async with self._changed:
                self._warm[backing] = taken
                self._changed.notify_all()
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._warm.pop(backing, None)
            for wait in waits:
                wait.cancel()
            if not taken.is_set():
                await backing.kill()
