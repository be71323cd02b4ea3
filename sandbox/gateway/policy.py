"""What a program may ask of Kafka. Everything else is refused, as a broker with ACLs would."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from sandbox.gateway.codec import Body

# What it takes to produce, to consume in a group (both protocols), to use transactions, and to
# look at one's own lag.
CLIENT_APIS = frozenset(
    {
        "AddOffsetsToTxn",
        "AddPartitionsToTxn",
        "ApiVersions",
        "ConsumerGroupDescribe",
        "ConsumerGroupHeartbeat",
        "DescribeCluster",
        "DescribeGroups",
        "EndTxn",
        "Fetch",
        "FindCoordinator",
        "Heartbeat",
        "InitProducerId",
        "JoinGroup",
        "LeaveGroup",
        "ListOffsets",
        "Metadata",
        "OffsetCommit",
        "OffsetFetch",
        "OffsetForLeaderEpoch",
        "Produce",
        "SyncGroup",
        "TxnOffsetCommit",
    }
)


@dataclass(frozen=True)
class Policy:
    """What one scenario grants to its program.

    read, write: topics it may fetch from (and commit offsets of), and produce to.
    groups: consumer groups it may be a member of.
    apis: Kafka's names of the requests it may send.
    """

    read: frozenset[str] = frozenset()
    write: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    apis: frozenset[str] = field(default=CLIENT_APIS)

    @property
    def visible(self) -> frozenset[str]:
        """Topics that the program may know of."""
        return self.read | self.write


# kafka-python asks this to find out how old a broker is that does not tell its versions in time.
_PROBES = frozenset({"ListGroups"})


class Refusal(NamedTuple):
    """Why a request is refused, and the error a broker would answer.

    harmless: it asks for what is there already; refused, but held against nobody.
    """

    error: str
    why: str
    harmless: bool = False


def refusal(policy: Policy, api: str, body: Body) -> Refusal | None:
    """Return why the policy forbids this request, None when it grants it."""
    if api == "CreateTopics" and all(t["Name"] in policy.visible for t in body["Topics"]):
        return Refusal("TOPIC_ALREADY_EXISTS", "topics that exist", harmless=True)
    if api not in policy.apis:
        error = _ERRORS.get(api, "CLUSTER_AUTHORIZATION_FAILED")
        return Refusal(error, "not granted to programs", harmless=api in _PROBES)
    granted = _granted_topics(policy, api)
    for topic in _first_not_in(granted, topics_of(api, body)):
        return Refusal("TOPIC_AUTHORIZATION_FAILED", f"topic {_short(topic)}")
    for group in _first_not_in(policy.groups, groups_of(api, body)):
        return Refusal("GROUP_AUTHORIZATION_FAILED", f"group {_short(group)}")
    return None


def topic_rows(api: str, body: Body) -> list[Body]:
    """Return the parts of a request that name a topic, by `Name`, `Topic` or `TopicId`."""
    return _TOPIC_ROWS[api](body) if api in _TOPIC_ROWS else []


def topics_of(api: str, body: Body) -> list[str | None]:
    """Return the topics a request names; None for a topic id that nobody knows."""
    return [row.get("Name", row.get("Topic")) for row in topic_rows(api, body)]


def groups_of(api: str, body: Body) -> list[str]:
    """Return the consumer groups a request names."""
    return _GROUPS[api](body) if api in _GROUPS else []


def _short(name: str | None) -> str:
    return "unknown" if name is None else name[:80]  # programs choose names, even of 32 KB


def _first_not_in(granted: frozenset[str], named: Iterable[str | None]) -> list[str | None]:
    return [name for name in named if name not in granted][:1]


def _granted_topics(policy: Policy, api: str) -> frozenset[str]:
    if api in ("Fetch", "OffsetCommit", "TxnOffsetCommit"):
        return policy.read
    if api in ("Produce", "AddPartitionsToTxn"):
        return policy.write
    return policy.visible


def _transaction_topics(body: Body) -> list[Body]:
    batched = [topic for each in body.get("Transactions", []) for topic in each["Topics"]]
    return body.get("V3AndBelowTopics", []) + batched


def _offset_fetch_topics(body: Body) -> list[Body]:
    grouped = [topic for each in body.get("Groups", []) for topic in each["Topics"] or []]
    return (body.get("Topics") or []) + grouped


def _offset_fetch_groups(body: Body) -> list[str]:
    return [each["GroupId"] for each in body.get("Groups", [body])]


_TOPIC_ROWS: dict[str, Callable[[Body], list[Body]]] = {
    "Produce": lambda body: body["TopicData"],
    "AddPartitionsToTxn": _transaction_topics,
    "OffsetFetch": _offset_fetch_topics,
} | dict.fromkeys(
    ("Fetch", "ListOffsets", "OffsetForLeaderEpoch", "OffsetCommit", "TxnOffsetCommit"),
    lambda body: body["Topics"],
)

# Not FindCoordinator: librdkafka asks for any group it is configured with, even if it never joins.
_GROUPS: dict[str, Callable[[Body], list[str]]] = {
    "OffsetFetch": _offset_fetch_groups,
    "DescribeGroups": lambda body: body["Groups"],
    "ConsumerGroupDescribe": lambda body: body["GroupIds"],
} | dict.fromkeys(
    (
        "AddOffsetsToTxn",
        "ConsumerGroupHeartbeat",
        "Heartbeat",
        "JoinGroup",
        "LeaveGroup",
        "OffsetCommit",
        "SyncGroup",
        "TxnOffsetCommit",
    ),
    lambda body: [body["GroupId"]],
)

# The error by which a broker with ACLs refuses it, where that is not CLUSTER_AUTHORIZATION_FAILED.
_ERRORS = dict.fromkeys(
    (
        "CreateTopics",
        "DeleteTopics",
        "CreatePartitions",
        "DeleteRecords",
        "DescribeTopicPartitions",
        "Fetch",
        "OffsetCommit",
        "Produce",
    ),
    "TOPIC_AUTHORIZATION_FAILED",
) | dict.fromkeys(("DeleteGroups", "OffsetDelete"), "GROUP_AUTHORIZATION_FAILED")
