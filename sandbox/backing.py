"""The backing services of one submission: a Kafka broker and a PostgreSQL server of its own."""

import asyncio
from dataclasses import dataclass

from sandbox.broker import Broker
from sandbox.daemon import Daemon
from sandbox.postgres import DatabaseServer


@dataclass(frozen=True, eq=False)
class Backing:
    """What the programs of one submission are connected to, and nobody else's."""

    broker: Broker
    databases: DatabaseServer

    @classmethod
    async def start(cls) -> "Backing":
        """Return both once they answer; SandboxError when one does not start."""
        starts = (
            asyncio.ensure_future(Broker.start()),
            asyncio.ensure_future(DatabaseServer.start()),
        )
        try:
            broker, databases = await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                if not start.cancelling():  # a second time would cut off its cleaning up
                    start.cancel()
            for started in await asyncio.gather(*starts, return_exceptions=True):
                if isinstance(started, Daemon):
                    await started.kill()
            raise
        return cls(broker, databases)

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
        killing = asyncio.gather(*(service.kill() for service in self.services))
        try:
            await asyncio.shield(killing)
        except asyncio.CancelledError:
            await killing
            raise
