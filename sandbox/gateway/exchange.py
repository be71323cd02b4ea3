"""A request on its way through the gateway, read and judged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.gateway.codec import Body, Codec, RequestHeader
from sandbox.gateway.contents import unfit
from sandbox.gateway.errors import error_for
from sandbox.gateway.faults import Asked, Fate, Fault, Faults
from sandbox.gateway.limits import Limits
from sandbox.gateway.observer import Observer
from sandbox.gateway.pace import Pace
from sandbox.gateway.policy import Policy, refusal, topic_rows, topics_of
from sandbox.gateway.replies import can_answer, error_body, metadata_with_error
from sandbox.gateway.topics import TopicNames


class CutOff(Exception):
    """The connection must end; says why."""


@dataclass(slots=True)
class Exchange:
    """A request and what is to become of its response.

    body: the request's, then the response's when somebody has read it.
    observer: sees the response; None when nobody needs to read it.
    expects_response: False for a producer that wants no acknowledgement.
    instead: the request as the broker gets it, None when it gets the program's own.
    faults: those that chose this request; what: the request in few words, for them.
    reply: our own response, in the broker's place.
    """

    api: str
    version: int
    correlation_id: int
    body: Body
    observer: Observer | None
    expects_response: bool = True
    instead: bytes | None = None
    faults: list[Fault] = field(default_factory=list)
    what: str = ""
    note: Any = None
    reply: bytes | None = None
    answered: bool = False

    @property
    def unsettled(self) -> bool:
        """Whether the broker's answer would still tell what it did."""
        if self.observer is None or self.answered or self.reply is not None:
            return False
        return self.observer.matters(self.note)

    def is_late(self, fault: Fault) -> bool:
        """Whether the fault acts on the response: an error does where it needs the broker's own."""
        action = fault.action
        return action.on_response or (action.fate is Fate.ANSWER and not can_answer(self.api))


def describe(api: str, body: Body) -> str:
    """Return a request in few words: "OffsetCommit payments-1@42"."""
    places = [
        _place(topic, partition)
        for topic in topic_rows(api, body)
        for partition in topic.get("Partitions") or topic.get("PartitionData") or ()
    ]
    return " ".join([api, *places[:3], *(["..."] if len(places) > 3 else [])])


def _place(topic: Body, partition: Any) -> str:
    name = topic.get("Name", topic.get("Topic"))
    if isinstance(partition, int):
        return f"{name}-{partition}"
    index = next(partition[k] for k in ("PartitionIndex", "Partition", "Index") if k in partition)
    offset = partition.get("CommittedOffset")
    return f"{name}-{index}" + ("" if offset is None else f"@{offset}")


@dataclass(frozen=True)
class Intake:
    """Reads requests for all connections of a gateway.

    policy: what every instance is granted, but for those in `own`.
    """

    codec: Codec
    policy: Policy
    own: Mapping[str, Policy]
    limits: Limits
    pace: Pace
    faults: Faults
    names: TopicNames
    observers: dict[str, Observer]
    refused: Callable[[str, str, str], None]  # instance, API, why

    def open(self, instance: str, frame: memoryview) -> Exchange:
        """Read a request frame (without its length), and answer it if it is forbidden.

        Raises Malformed, and CutOff for what cannot be answered.
        """
        header = self.codec.request_header(frame)
        api = self.codec.api_names.get(header.api_key)
        if api is None:
            raise self._cut_off(instance, f"API key {header.api_key}", "unknown to Kafka")
        if api != "Produce" and len(frame) > self.limits.request_bytes:
            raise self._cut_off(instance, api, f"a request of {len(frame)} bytes")
        body = self._read(instance, api, header, frame)
        exchange = Exchange(
            api,
            header.version,
            header.correlation_id,
            body,
            self.observers.get(api),
            expects_response=not (api == "Produce" and body["Acks"] == 0),
            instead=self._to_whichever(header, body) if api == "ApiVersions" else None,
        )
        self._judge(instance, exchange)
        return exchange

    def _to_whichever(self, header: RequestHeader, body: Body) -> bytes | None:
        """Return a client's first request as it would be had it just found this broker: the node
        that it names (KIP-1242) may be one of those by which topics seem to be led, and the broker
        would send it away."""
        if body.get("NodeId", -1) == -1:
            return None
        unknown = body | {"NodeId": -1, "ClusterId": None}
        return self.codec.encode_request(
            "ApiVersions", header.version, header.correlation_id, header.client_id, unknown
        )

    def _read(self, instance: str, api: str, header: RequestHeader, frame: memoryview) -> Body:
        if self.codec.supports(api, header.version):
            body = self.codec.decode_request(api, header.version, frame, header.body_at)
            self.names.fill(topic_rows(api, body), "Topic" if api == "Fetch" else "Name")
            return body
        if api == "ApiVersions":  # the broker has a legal answer for those it does not know
            return {}
        raise self._cut_off(instance, api, f"version {header.version} is unknown to Kafka")

    def answer(self, exchange: Exchange, error: str) -> None:
        """Let the exchange be answered with an error. Raises CutOff when no such answer exists."""
        if exchange.api == "Metadata" and exchange.answered:
            body = metadata_with_error(exchange.body, error)
        elif exchange.expects_response and can_answer(exchange.api):
            known = error_for(exchange.api, exchange.version, error)
            body = error_body(exchange.api, exchange.body, known)
        else:
            raise CutOff(f"{exchange.api} refused")  # a broker, too, can only hang up here
        exchange.reply = self.codec.encode_response(
            exchange.api, exchange.version, exchange.correlation_id, body
        )

    def _judge(self, instance: str, exchange: Exchange) -> None:
        """Answer what the policy forbids; let faults choose among the rest."""
        granted = self.own.get(instance, self.policy)
        refused = refusal(granted, exchange.api, exchange.body)
        if refused is None and exchange.api == "Produce":
            refused = unfit(exchange.body, self.limits.unpacked_bytes)
        if refused is not None:
            if not refused.harmless:
                self.refused(instance, exchange.api, refused.why)
            self.answer(exchange, refused.error)
            return
        armed = self.faults.armed(exchange.api)
        if armed:
            asked = Asked(exchange.body, self._topics(instance, exchange))
            exchange.faults = [f for f in armed if f.chooses(instance, asked)]
            exchange.what = describe(exchange.api, exchange.body) if exchange.faults else ""

    def _topics(self, instance: str, exchange: Exchange) -> set[str | None]:
        named = set(topics_of(exchange.api, exchange.body))
        if exchange.observer is None:
            return named
        return named | exchange.observer.understood(instance, exchange.body)

    def _cut_off(self, instance: str, api: str, why: str) -> CutOff:
        self.refused(instance, api, why)
        return CutOff(f"{api}: {why}")
