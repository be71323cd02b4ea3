"""Warm brokers, lent to one submission each and destroyed afterwards."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from sandbox.broker import Broker
from sandbox.process import SandboxError

LEND_TIMEOUT = 60.0
ANSWER_TIMEOUT = 2.0
RETRY_AFTER = 2.0

log = logging.getLogger(__name__)


class BrokerPool:
    """Keeps `size` brokers warm. Each slot starts a broker, offers it, and starts the next one once
    the offered one is taken or has died. Not `refills`: only `size` brokers are lent in all, for
    who needs no more; a start costs more than a second of CPU."""

    def __init__(self, size: int = 1, *, refills: bool = True) -> None:
        self._size = size
        self._refills = refills
        self._warm: dict[Broker, asyncio.Event] = {}  # the event: it was taken
        self._offered = asyncio.Condition()
        self._slots: list[asyncio.Task[None]] = []
        self._failure: Exception | None = None

    @property
    def warm(self) -> int:
        """How many brokers could be lent at once."""
        return len(self._warm)

    async def start(self) -> None:
        """Start filling the pool; returns at once. `lend` waits for the first broker."""
        self._slots = [asyncio.create_task(self._keep_one_warm()) for _ in range(self._size)]

    async def close(self) -> None:
        """Destroy the warm brokers. Lent ones end with their `lend`."""
        for slot in self._slots:
            slot.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)
        self._slots.clear()

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[Broker]:
        """Lend a broker that answered just now; it is destroyed at the end of the block.

        SandboxError when none could be had within a minute.
        """
        broker = await self._take()
        try:
            yield broker
        finally:
            await broker.kill()

    async def _take(self) -> Broker:
        try:
            async with asyncio.timeout(LEND_TIMEOUT):
                while True:
                    async with self._offered:
                        await self._offered.wait_for(lambda: self._warm)
                        broker, taken = self._warm.popitem()
                    if await self._usable(broker):
                        taken.set()
                        return broker
        except TimeoutError:
            reason = f": {self._failure}" if self._failure else ""
            raise SandboxError(
                f"No Kafka broker was ready within {LEND_TIMEOUT:.0f} s{reason}. "
                "Run: offsetzero doctor"
            ) from None

    async def _usable(self, broker: Broker) -> bool:
        """Tell whether `broker` answers now. If not, or if we are cancelled while it is asked, end
        it: its slot sees that and starts another."""
        usable = False
        try:
            usable = broker.alive and await broker.answers(within=ANSWER_TIMEOUT)
        finally:
            if not usable:
                await broker.kill()
        return usable

    async def _keep_one_warm(self) -> None:
        taken = False
        while self._refills or not taken:
            try:
                broker = await Broker.start()
            except (SandboxError, OSError) as error:  # OSError: no space, too many files
                log.error("cannot start a broker, trying again: %s", error)
                self._failure = error
                await asyncio.sleep(RETRY_AFTER)
                continue
            taken = await self._offer(broker)

    async def _offer(self, broker: Broker) -> bool:
        """Return once `broker` is taken, or has ended without, and which of the two; destroy it
        when it is not taken."""
        taken = asyncio.Event()
        waits = [asyncio.create_task(taken.wait()), asyncio.create_task(broker.ended())]
        try:
            async with self._offered:
                self._warm[broker] = taken
                self._offered.notify_all()
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return taken.is_set()
        finally:
            self._warm.pop(broker, None)
            for wait in waits:
                wait.cancel()
            if not taken.is_set():
                await broker.kill()
