"""The doors of one instance, and the connections that come through them."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.gateway.exchange import CutOff

log = logging.getLogger(__name__)


class Connection(Protocol):
    """One connection of a program, carried to what is behind its door."""

    async def run(self) -> str: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class Service:
    """What is behind a door.

    most: connections of one instance at one time.
    accept: makes the protocol of an accepted connection, which calls back once it is connected.
    open: connects to the real thing for that protocol. Raises OSError.
    """

    name: str  # "kafka", "database", or an outside service's
    most: int
    accept: Callable[[Callable[[Any], None]], asyncio.BaseProtocol]
    open: Callable[[str, Any], Awaitable[Connection]]


class Attachment:
    """Serves the doors of one instance until `close`."""

    def __init__(
        self,
        instance: str,
        record: Callable[[str, str, str, str | None], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """record: gets the instance, the service, what happened to a connection, and detail.
        failed: gets errors of our own."""
        self._instance = instance
        self._record = record
        self._failed = failed
        self._servers: list[asyncio.Server] = []
        self._tasks: dict[asyncio.Task[None], str] = {}  # carrying a connection to which service
        self._open: dict[asyncio.Task[None], Connection] = {}

    async def serve(self, service: Service, door: socket.socket) -> None:
        """Take connections from a listening socket, which is ours from now on."""

        def connected(program: Any) -> None:
            task = asyncio.create_task(self._carry(service, program))
            self._tasks[task] = service.name
            task.add_done_callback(self._tasks.pop)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: service.accept(connected), sock=door)
        self._servers.append(server)

    def end_connections(self, service: str | None = None) -> None:
        """End all connections, or those to one service."""
        for task, name in self._tasks.items():
            if service in (None, name):
                if task in self._open:
                    self._open[task].end()
                else:
                    task.cancel()

    async def close(self) -> None:
        """Close the doors and all connections; return when nothing of them is left."""
        for server in self._servers:
            server.close()
        self.end_connections()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _carry(self, service: Service, program: Any) -> None:
        try:
            await self._carry_to_end(service, program)
        except CutOff as error:  # it has filled its share of the history: not even this is recorded
            log.info("%s: %s", self._instance, error)
        except Exception as error:
            log.exception("the gateway failed on a %s connection", service.name)
            self._failed(error)
        finally:
            program.transport.close()

    async def _carry_to_end(self, service: Service, program: Any) -> None:
        task, name = asyncio.current_task(), service.name
        assert task is not None
        if list(self._tasks.values()).count(name) > service.most:
            self._record(self._instance, name, "refused", "too many connections")
            return
        try:
            connection = await service.open(self._instance, program)
        except OSError as error:
            self._record(self._instance, name, "refused", str(error))
            return
        self._open[task] = connection
        try:
            self._record(self._instance, name, "opened", None)
            self._record(self._instance, name, "closed", await connection.run())
        finally:
            del self._open[task]
