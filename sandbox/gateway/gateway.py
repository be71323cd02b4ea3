"""The gateway between the instances of a program and the real broker, database, and services.

It knows an instance by its door, watches what passes, applies faults, refuses what the challenge
does not grant, and records facts. It runs in the grader's event loop.
"""

import functools
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox import assets
from sandbox.gateway.attachment import Attachment, Service
from sandbox.gateway.calls import CallFaultBuilder, CallMatch, Desk, HttpConnection
from sandbox.gateway.codec import Codec
from sandbox.gateway.database import (
    CommitMatch,
    DatabaseConnection,
    End,
    ProgramEnd,
    ReadingMatch,
    SavingMatch,
    Way,
)
from sandbox.gateway.exchange import CutOff, Intake
from sandbox.gateway.faults import (
    AnswerFaultBuilder,
    Builder,
    Fault,
    FaultBuilder,
    Faults,
    Record,
    RequestMatch,
    Where,
    choose,
)
from sandbox.gateway.http_stream import HttpStream
from sandbox.gateway.kafka import KafkaConnection
from sandbox.gateway.limits import Limits
from sandbox.gateway.link import Link
from sandbox.gateway.members import Members
from sandbox.gateway.observer import Noted, noted_at_once
from sandbox.gateway.observers import make_observers
from sandbox.gateway.outside import HttpRequest, HttpService
from sandbox.gateway.pace import Pace
from sandbox.gateway.peer import Peer
from sandbox.gateway.policy import Policy
from sandbox.gateway.topics import TopicNames
from sandbox.gateway.transactions import Transactions

KAFKA_PORT = 9092
DATABASE_PORT = 5432


@functools.cache
def kafka_codec() -> Codec:
    """Return the codec of the locked Kafka version; set-up must have fetched its jars."""
    (jar,) = (jar for jar in assets.locked_jars() if jar.name == "kafka-clients")
    return Codec.from_jar(assets.jars() / jar.file)


class Gateway:
    """Stands between a program's instances and their broker, database, and outside services.

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
        services: Mapping[int, HttpService] | None = None,
        leaders: Mapping[str, int] | None = None,
        noted: Noted = noted_at_once,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        """services: the outside services of the challenge, by the port the program sees.
        leaders: topics that seem to be led by another broker, each by that one's port. All clients
            have a connection for each broker, so what is held of such a topic, say every Fetch,
            holds no other topic.
        noted: returns when all that others have written to a topic by now is in the history; no
            record of it is handed to a program before.

        Raises ValueError when two services share a name, or one takes a port that is taken.
        """
        self.failure: Exception | None = None
        self._limits = limits
        self._record_fact = record
        self._recorded: Counter[str] = Counter()  # bytes about each instance
        self._attachments: dict[str, Attachment] = {}
        self._database_ports: dict[int, str] = {}
        self._codec = kafka_codec()
        self._link = Link(self._codec, broker)
        self._members = Members(self._link)
        self._transactions = Transactions(self._link)
        names = TopicNames(self._link)
        self._faults = Faults(self._record_fault)
        leaders = dict(leaders or {})
        self._policy = policy
        self._own_policies: dict[str, Policy] = {}
        observers = make_observers(
            self._record,
            self._codec,
            policy,
            self._members,
            self._transactions,
            names,
            leaders,
            noted,
        )
        self._intake = Intake(
            codec=self._codec,
            policy=policy,
            own=self._own_policies,
            limits=limits,
            pace=Pace(limits.requests_per_second),
            faults=self._faults,
            names=names,
            observers=observers,
            refused=self._refused,
        )
        kafka = self._kafka(broker)
        self._services = dict.fromkeys((KAFKA_PORT, *leaders.values()), kafka)
        if database is not None:
            self._services[DATABASE_PORT] = self._programs_database(database)
        self._desk = Desk(self._faults, self._record)
        for port, service in (services or {}).items():
            self._add_outside(port, service)

    async def attach(
        self,
        instance: str,
        doors: Mapping[int, socket.socket],
        groups: frozenset[str] | None = None,
    ) -> None:
        """Serve an instance's doors: listening sockets by the port the program sees.

        groups: those it may be a member of, if not all that the policy grants. The sockets belong
        to the gateway from now on; `detach` closes them. Raises ValueError for a port with nothing
        behind it, or an instance that is attached already.
        """
        if instance in self._attachments:
            raise ValueError(f"{instance} is attached already; detach it first")
        if unknown := doors.keys() - self._services.keys():
            raise ValueError(f"nothing to serve at {unknown}; known are {set(self._services)}")
        if groups is not None:
            self._own_policies[instance] = replace(self._policy, groups=groups)
        attachment = Attachment(instance, self._connection, self._failed)
        self._attachments[instance] = attachment
        for port, door in doors.items():
            await attachment.serve(self._services[port], door)

    async def detach(self, instance: str) -> None:
        """Close an instance's doors and connections; what is held for it is lost.

        Returns when the outcome of its last requests is known, or could not be had.
        """
        if attachment := self._attachments.pop(instance, None):
            await attachment.close()

    def fault(
        self,
        api: str | tuple[str, ...] | None,
        *,
        instance: str | None = None,
        topic: str | None = None,
        where: Where | None = None,
        nth: int = 1,
        times: int | None = 1,
    ) -> FaultBuilder:
        """Choose requests for a fault: `times` of them (None: all) from the `nth` match on.

        api: Kafka's name, or several, None for all; instance and topic: None matches any; where:
        sees the decoded request. Raises ValueError for an API that Kafka does not have.
        """
        apis = (api,) if isinstance(api, str) else api or tuple(self._codec.api_keys)
        for name in apis:
            if name not in self._codec.api_keys:
                raise ValueError(f"Kafka has no API {name}")
        what = "/".join(apis) if api else "any request"
        match = RequestMatch(what, apis, instance, topic, where)
        return FaultBuilder(self._faults, match, choose(nth, times))

    def call_fault(
        self,
        service: str,
        *,
        instance: str | None = None,
        path: str | None = None,
        where: Callable[[HttpRequest], bool] | None = None,
        nth: int = 1,
        times: int | None = 1,
    ) -> CallFaultBuilder:
        """Choose calls to an outside service for a fault: `times` of them (None: all) from the
        `nth` match on.

        instance and path: None matches any; where: sees the request, which may be anything. Raises
        ValueError for a service that the gateway does not have.
        """
        if service not in (known := {each.name for each in self._services.values()}):
            raise ValueError(f"there is no service {service}; there are {known}")
        match = CallMatch(service, instance, path, where)
        return CallFaultBuilder(self._faults, match, choose(nth, times))

    def commit_fault(
        self, *, instance: str | None = None, nth: int = 1, times: int | None = 1
    ) -> AnswerFaultBuilder:
        """Choose commits in the database for a fault: `times` of them (None: all) from the `nth` on
        of those that wrote rows; instance: None matches any. They are done, and the program does
        not hear of them."""
        return AnswerFaultBuilder(self._faults, CommitMatch(instance), choose(nth, times))

    def hold_savings(self, instance: str | None = None, nth: int = 1) -> Fault:
        """Keep from the database, until `release`, all by which an instance (None: any) would make
        something durable, from the `nth` time on: the database lets it wait."""
        return Builder(self._faults, SavingMatch(instance), choose(nth, None)).hold()

    def hold_reading(self, instance: str, table: str | None = None, nth: int = 1) -> Fault:
        """Keep from the database, until `release`, the `nth` statement from now on by which an
        instance reads a table (None: any), and writes nothing. A driver that has a statement
        prepared first says it twice."""
        return Builder(self._faults, ReadingMatch(instance, table), choose(nth, 1)).hold()

    def release_all(self) -> None:
        """Cancel all faults; what they hold goes on its way. A service goes on to answer as it
        does, for what becomes of an event follows from that."""
        self._faults.cancel_all(
            but=lambda fault: isinstance(fault.match, CallMatch) and not fault.action.holds
        )

    async def evict(self, instance: str) -> None:
        """End the sessions of the group members that an instance is, dead, frozen or alive.

        The broker is at once in the state of an expired session. Members that it no longer knows
        are passed over, so a second call does nothing. Raises BrokerUnreachable.
        """
        for member in await self._members.evict(instance):
            fields = {"instance": instance, "group": member.group, "member": member.id}
            self._record_fact("left", fields | {"by": "grader"})

    async def abort_transactions(self, instance: str) -> None:
        """Abort what a dead instance has left open, as the coordinator does at the time-out. Until
        then nobody gets the offsets that it was about to commit. Raises BrokerUnreachable."""
        for state in await self._transactions.abort(instance):
            fields = {
                "instance": instance,
                "transactional_id": state["TransactionalId"],
                "producer_id": state["ProducerId"],
                "epoch": state["ProducerEpoch"],
                "committed": False,
            }
            self._record_fact("ended", fields | {"outcome": "accepted", "by": "grader"})

    def instance_of(self, database_client_port: int) -> str | None:
        """Return which instance opened the database connection that comes from this port."""
        return self._database_ports.get(database_client_port)

    def cut_database(self, instance: str) -> None:
        """Break all database connections of an instance; it may open new ones."""
        if attachment := self._attachments.get(instance):
            attachment.end_connections("database")

    async def close(self) -> None:
        """Detach every instance and close the gateway's own connection."""
        for instance in list(self._attachments):
            await self.detach(instance)
        self._link.close()

    def _kafka(self, address: tuple[str, int]) -> Service:
        async def connect(instance: str, program: Peer) -> KafkaConnection:
            broker = await Peer.connect(address, self._limits.response_bytes)
            return KafkaConnection(self._intake, instance, program, broker)

        limit = self._limits.produce_bytes
        most = self._limits.kafka_connections
        return Service("kafka", most, lambda connected: Peer(limit, connected), connect)

    def _programs_database(self, address: tuple[str, int]) -> Service:
        async def connect(instance: str, program: End) -> DatabaseConnection:
            way = Way(self._faults, instance)
            connection = await DatabaseConnection.open(program, address, way)
            self._database_ports[connection.client_port] = instance
            return connection

        return Service("database", self._limits.database_connections, ProgramEnd, connect)

    def _add_outside(self, port: int, service: HttpService) -> None:
        if port in self._services or service.name in (s.name for s in self._services.values()):
            raise ValueError(f"port {port} or the name {service.name} is taken already")

        async def connect(instance: str, program: HttpStream) -> HttpConnection:
            patience = self._limits.settle_seconds
            return HttpConnection(self._desk, service, instance, program, patience)

        most = self._limits.http_connections
        self._services[port] = Service(
            service.name, most, lambda connected: HttpStream(self._limits, connected), connect
        )

    def _connection(self, instance: str, service: str, what: str, detail: str | None) -> None:
        fields = {"instance": instance, "service": service, "what": what, "detail": detail}
        self._record("connection", fields)

    def _refused(self, instance: str, api: str, why: str) -> None:
        self._record("refused", {"instance": instance, "api": api, "why": why})

    def _record_fault(self, kind: str, fields: dict[str, Any]) -> None:
        """Record what became of a fault; that a program's request met it counts as its doing."""
        by_program = fields["what"] in ("matched", "applied")
        (self._record if by_program else self._record_fact)(kind, fields)

    def _record(self, kind: str, fields: dict[str, Any]) -> None:
        """Record what a program did. Raises CutOff when it did more than a history can hold."""
        instance, most = fields["instance"], self._limits.history_bytes
        before = self._recorded[instance]
        self._recorded[instance] += len(repr(fields))
        if self._recorded[instance] <= most:
            self._record_fact(kind, fields)
            return
        why = f"more than {most} bytes of history"
        if before <= most:
            self._record_fact("refused", {"instance": instance, "api": "all", "why": why})
        raise CutOff(why)

    def _failed(self, error: Exception) -> None:
        self.failure = self.failure or error
