"""The backing services of one submission: a Kafka broker and a PostgreSQL server of its own."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.broker import Broker
from sandbox.daemon import Daemon, to_the_end
from sandbox.postgres import DatabaseServer


@dataclass(frozen=True, eq=False)
class Backing:
    """What the programs of one submission are connected to, and nobody else's."""

    broker: Broker
    databases: DatabaseServer

    @classmethod
    async def start(cls) -> "Backing":
        """Return both once they answer; SandboxError when one does not start."""
        starts: tuple[asyncio.Task[Broker], asyncio.Task[DatabaseServer]] = (
            asyncio.create_task(Broker.start()),
            asyncio.create_task(DatabaseServer.start()),
        )
        try:
            return cls(*await asyncio.gather(*starts))
        except BaseException:
            await to_the_end(give_up(starts))
            raise

    @property
    def services(self) -> tuple[Daemon, ...]:
        return self.broker, self.databases

    @property
    def alive(self) -> bool:
        """Whether the processes of both run."""
        return all(service.alive for service in self.services)

    async def answers(self, within: float) -> bool:
        """Tell whether both answer within so many seconds."""
        return all(await asyncio.gather(*(service.answers(within) for service in self.services)))

    async def ended(self) -> Daemon:
        """Return the one that ended, as soon as one did."""

        async def end_of(service: Daemon) -> Daemon:
            await service.ended()
            return service

        waits = [asyncio.ensure_future(end_of(service)) for service in self.services]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for wait in waits:
                wait.cancel()

    async def kill(self) -> None:
        """End both at once and remove their data, also when the caller is cancelled meanwhile."""
        async with asyncio.TaskGroup() as both:
            for service in self.services:
                both.create_task(service.kill())


async def give_up(starts: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel what is still starting, and kill what has started."""
    for start in starts:
        if not start.cancelling():  # a second time would cut off its cleaning up
            start.cancel()
    for started in await asyncio.gather(*starts, return_exceptions=True):
        if isinstance(started, Daemon):
            await started.kill()
