"""The gateway between the instances of a program and the real broker and database.

It knows an instance by its door, watches what passes, applies faults, refuses what the challenge
does not grant, and records facts. It runs in the grader's event loop.
"""

import asyncio
import functools
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox import assets
from sandbox.gateway.codec import Codec
from sandbox.gateway.database import DatabaseConnection
from sandbox.gateway.exchange import CutOff, Intake
from sandbox.gateway.faults import FaultBuilder, Faults, Match, Record, Where
from sandbox.gateway.kafka import KafkaConnection, Streams
from sandbox.gateway.limits import MIB, Limits
from sandbox.gateway.link import Link
from sandbox.gateway.members import Members
from sandbox.gateway.observers import make_observers
from sandbox.gateway.policy import Policy
from sandbox.gateway.topics import TopicNames

KAFKA_PORT = 9092
DATABASE_PORT = 5432

log = logging.getLogger(__name__)


@functools.cache
def kafka_codec() -> Codec:
    """Return the codec of the locked Kafka version; set-up must have fetched its jars."""
    (jar,) = (jar for jar in assets.locked_jars() if jar.name == "kafka-clients")
    return Codec.from_jar(assets.jars() / jar.file)


Connection = KafkaConnection | DatabaseConnection


@dataclass
class _Attachment:
    """What is open for one instance."""

    servers: list[asyncio.Server] = field(default_factory=list)
    connections: dict[asyncio.Task[Any], tuple[str, Connection]] = field(default_factory=dict)

    def of(self, service: str) -> list[Connection]:
        return [each for name, each in self.connections.values() if name == service]


class Gateway:
    """Stands between a program's instances and their broker and database.

    failure: the first thing that went wrong in the gateway itself; None while all is well. A run
        with a failure says nothing about its program.
    """

    def __init__(
        self,
        *,
        broker: tuple[str, int],
        database: tuple[str, int] | None,
        record: Record,
        policy: Policy,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self.failure: Exception | None = None
        codec = self._codec = kafka_codec()
        self._broker = broker
        self._database = database
        self._limits = limits
        self._record_fact = record
        self._facts: Counter[str] = Counter()
        self._attachments: dict[str, _Attachment] = {}
        self._database_ports: dict[int, str] = {}
        self._link = Link(codec, broker)
        self._members = Members(self._link)
        names = TopicNames(self._link)
        self._faults = Faults(record)
        self._intake = Intake(
            codec=codec,
            policy=policy,
            limits=limits,
            faults=self._faults,
            names=names,
            observers=make_observers(self._record, codec, policy, self._members, names),
            refused=self._refused,
        )

    async def attach(self, instance: str, doors: Mapping[int, socket.socket]) -> None:
        """Serve an instance's doors: listening sockets by the port the program sees.

        The sockets belong to the gateway from now on; `detach` closes them. Raises ValueError for a
        port that is neither Kafka's nor the database's, or an instance that is attached already.
        """
        if instance in self._attachments:
            raise ValueError(f"{instance} is attached already; detach it first")
        services = {port: self._service(port) for port in doors}
        attachment = self._attachments[instance] = _Attachment()
        for port, door in doors.items():
            server = await asyncio.start_server(
                self._acceptor(instance, attachment, *services[port]), sock=door, limit=MIB
            )
            attachment.servers.append(server)

    async def detach(self, instance: str) -> None:
        """Close an instance's doors and connections; what is held for it is lost.

        Returns when the outcome of its last requests is known, or could not be had.
        """
        attachment = self._attachments.pop(instance, None)
        if attachment is None:
            return
        for server in attachment.servers:
            server.close()
        for _, connection in attachment.connections.values():
            connection.end()
        if attachment.connections:
            await asyncio.wait(list(attachment.connections))

    def fault(
        self,
        api: str | tuple[str, ...],
        *,
        instance: str | None = None,
        topic: str | None = None,
        where: Where | None = None,
        nth: int = 1,
        times: int | None = 1,
    ) -> FaultBuilder:
        """Choose requests for a fault: `times` of them (None: all) from the `nth` match on.

        api: Kafka's name, or several; instance and topic: None matches any; where: sees the decoded
        request. Raises ValueError for an API that Kafka does not have.
        """
        apis = (api,) if isinstance(api, str) else api
        for name in apis:
            if name not in self._codec.api_keys:
                raise ValueError(f"Kafka has no API {name}")
        return self._faults.build(Match(apis, instance, topic, where), nth, times)

    async def evict(self, instance: str) -> None:
        """End the sessions of the group members that an instance is, dead, frozen or alive.

        The broker is at once in the state of an expired session. Members that it no longer knows
        are passed over, so a second call does nothing. Raises BrokerUnreachable.
        """
        for member in await self._members.evict(instance):
            fields = {"instance": instance, "group": member.group, "member": member.id}
            self._record_fact("left", fields | {"by": "grader"})

    def instance_of(self, database_client_port: int) -> str | None:
        """Return which instance opened the database connection that comes from this port."""
        return self._database_ports.get(database_client_port)

    def cut_database(self, instance: str) -> None:
        """Break all database connections of an instance; it may open new ones."""
        if instance in self._attachments:
            for connection in self._attachments[instance].of("database"):
                connection.end()

    async def close(self) -> None:
        """Detach every instance and close the gateway's own connection."""
        for instance in list(self._attachments):
            await self.detach(instance)
        self._link.close()

    def _service(self, port: int) -> tuple[str, tuple[str, int]]:
        if port == KAFKA_PORT:
            return "kafka", self._broker
        if port == DATABASE_PORT and self._database is not None:
            return "database", self._database
        raise ValueError(f"nothing to serve at port {port}")

    def _acceptor(
        self, instance: str, attachment: _Attachment, service: str, address: tuple[str, int]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(attachment.of(service)) >= self._limits.connections:
                self._connection(instance, service, "refused", "too many connections")
                writer.close()
                return
            try:
                await self._serve(instance, attachment, service, address, (reader, writer))
            except CutOff as error:  # too many facts
                log.info("%s: %s", instance, error)
            except Exception as error:
                log.exception("the gateway failed on a %s connection of %s", service, instance)
                self.failure = self.failure or error
            finally:
                writer.close()

        return accept

    async def _serve(
        self,
        instance: str,
        attachment: _Attachment,
        service: str,
        address: tuple[str, int],
        program: Streams,
    ) -> None:
        try:
            upstream = await asyncio.open_connection(*address, limit=MIB)
        except OSError as error:
            self._connection(instance, service, "refused", str(error))
            return
        connection = self._connect(instance, service, program, upstream)
        task = asyncio.current_task()
        assert task is not None
        attachment.connections[task] = (service, connection)
        try:
            self._connection(instance, service, "opened", None)
            self._connection(instance, service, "closed", await connection.run())
        finally:
            del attachment.connections[task]

    def _connect(
        self, instance: str, service: str, program: Streams, upstream: Streams
    ) -> Connection:
        if service == "kafka":
            return KafkaConnection(self._intake, instance, program, upstream)
        connection = DatabaseConnection(program, upstream)
        self._database_ports[connection.client_port] = instance
        return connection

    def _connection(self, instance: str, service: str, what: str, detail: str | None) -> None:
        fields = {"instance": instance, "service": service, "what": what, "detail": detail}
        self._record("connection", fields)

    def _refused(self, instance: str, api: str, why: str) -> None:
        self._record("refused", {"instance": instance, "api": api, "why": why})

    def _record(self, kind: str, fields: dict[str, Any]) -> None:
        """Record what a program did, unless it did more than a history can hold.

        Raises CutOff for one that did.
        """
        instance = fields["instance"]
        self._facts[instance] += 1
        if self._facts[instance] < self._limits.facts:
            self._record_fact(kind, fields)
            return
        why = f"more than {self._limits.facts} facts"
        if self._facts[instance] == self._limits.facts:
            refusal = {"instance": instance, "api": "all", "why": why}
            self._record_fact("refused", refusal)
        raise CutOff(why)
