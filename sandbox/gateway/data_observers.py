"""Facts about records and offsets: produced, fetched, committed."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.gateway.codec import Body
from sandbox.gateway.errors import ErrorCode, error_name
from sandbox.gateway.faults import Record
from sandbox.gateway.observer import Noted, Observer
from sandbox.gateway.policy import Policy
from sandbox.gateway.records import Batch, batches, data_ranges
from sandbox.gateway.topics import TopicNames

ACCEPTED, REJECTED, UNKNOWN = "accepted", "rejected", "unknown"


def outcome_of(code: int) -> str:
    """What an answer with this error code says about the request."""
    return ACCEPTED if code == ErrorCode.NONE else REJECTED


class Written(NamedTuple):
    """What a Produce request writes to one partition; `first` is its first batch, None when it
    holds none."""

    topic: str
    partition: int
    records: int
    first: Batch | None


def _written(topic: str, partition: Body) -> Written:
    found = list(batches(partition["Records"]))
    records = sum(batch.records for batch in found)
    return Written(topic, partition["Index"], records, found[0] if found else None)


def _producer(batch: Batch | None) -> dict[str, Any]:
    """What an idempotent producer says of itself with a batch; nothing when it is none."""
    if batch is None or batch.producer_id < 0:
        return {}
    return {
        "transactional": batch.is_transactional,
        "producer_id": batch.producer_id,
        "epoch": batch.epoch,
        "sequence": batch.sequence,
    }


class ProduceObserver(Observer):
    """`produced` facts. The note is a list of Written."""

    def __init__(self, record: Record, names: TopicNames) -> None:
        self._record = record
        self._names = names

    def forwarded(self, instance: str, body: Body) -> list[Written]:
        return [
            _written(topic["Name"], partition)
            for topic in body["TopicData"]
            for partition in topic["PartitionData"]
        ]

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        self._names.fill(body["Responses"])
        answers = {
            (topic["Name"], part["Index"]): part
            for topic in body["Responses"]
            for part in topic["PartitionResponses"]
        }
        for written in note:
            part = answers[written.topic, written.partition]
            outcome = outcome_of(part["ErrorCode"])
            base_offset = part["BaseOffset"] if outcome == ACCEPTED else None
            self._produced(instance, written, base_offset, outcome)

    def matters(self, note: Any) -> bool:
        return True

    def lost(self, instance: str, note: Any) -> None:
        for written in note:
            self._produced(instance, written, None, UNKNOWN)

    def _produced(
        self, instance: str, written: Written, base_offset: int | None, outcome: str
    ) -> None:
        fields = {
            "instance": instance,
            "topic": written.topic,
            "partition": written.partition,
            "base_offset": base_offset,
            "count": written.records,
            "outcome": outcome,
        }
        self._record("produced", fields | _producer(written.first))


class Commits(NamedTuple):
    """What a request commits: [(group, topic, partition, offset)], and in whose transaction."""

    offsets: list[tuple[str, str, int, int]]
    producer_id: int | None
    epoch: int | None


class CommitObserver(Observer):
    """`commit` facts. The note is a Commits."""

    def __init__(self, api: str, record: Record, names: TopicNames) -> None:
        self._api = api
        self._record = record
        self._names = names

    def forwarded(self, instance: str, body: Body) -> Commits:
        offsets = [
            (body["GroupId"], topic["Name"], part["PartitionIndex"], part["CommittedOffset"])
            for topic in body["Topics"]
            for part in topic["Partitions"]
        ]
        return Commits(offsets, body.get("ProducerId"), body.get("ProducerEpoch"))

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        self._names.fill(body["Topics"])
        codes = {
            (topic["Name"], part["PartitionIndex"]): part["ErrorCode"]
            for topic in body["Topics"]
            for part in topic["Partitions"]
        }
        for each in note.offsets:
            code = codes[each[1], each[2]]
            self._commit(instance, note, each, outcome_of(code), error_name(code))

    def matters(self, note: Any) -> bool:
        return True

    def lost(self, instance: str, note: Any) -> None:
        for each in note.offsets:
            self._commit(instance, note, each, UNKNOWN, None)

    def _commit(
        self,
        instance: str,
        commits: Commits,
        what: tuple[str, str, int, int],
        outcome: str,
        error: str | None,
    ) -> None:
        group, topic, partition, offset = what
        fields = {
            "instance": instance,
            "group": group,
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "outcome": outcome,
            "error": error,
            "api": self._api,
            "producer_id": commits.producer_id,
            "epoch": commits.epoch,
        }
        self._record("commit", fields)


Positions = dict[tuple[str, int], int]


class FetchObserver(Observer):
    """`fetched` facts. The note is where the program reads on: {(topic, partition): offset}.

    A batch is sent whole even when the program asks for its middle, so positions are needed to know
    what the program was really handed. In a fetch session (KIP-227) a request names only what
    changed; the rest is remembered here. Records are handed on when whoever wrote them has noted
    so: else the history could tell what a program did with a record before it tells of the record.
    """

    _MOST_SESSIONS = 64  # of one instance; an older one is forgotten, its positions count as 0

    def __init__(self, record: Record, names: TopicNames, noted: Noted) -> None:
        self._record = record
        self._names = names
        self._noted = noted
        self._sessions: defaultdict[str, dict[int, Positions]] = defaultdict(dict)

    def understood(self, instance: str, body: Body) -> set[str | None]:
        return {topic for topic, _ in self.forwarded(instance, body)}

    def forwarded(self, instance: str, body: Body) -> Positions:
        positions: Positions = {}
        if body.get("SessionEpoch", -1) > 0:
            positions = dict(self._sessions[instance].get(body["SessionId"], {}))
        self._names.fill(body.get("ForgottenTopicsData", ()), "Topic")
        for topic in body.get("ForgottenTopicsData", ()):
            for partition in topic["Partitions"]:
                positions.pop((topic["Topic"], partition), None)
        for topic in body["Topics"]:
            for part in topic["Partitions"]:
                positions[topic["Topic"], part["Partition"]] = part["FetchOffset"]
        return positions

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        self._names.fill(body["Responses"], "Topic")
        for topic in body["Responses"]:
            if any(part["Records"] for part in topic["Partitions"]):
                await self._noted(topic["Topic"])
        if session := body.get("SessionId", 0):
            sessions = self._sessions[instance]
            sessions.pop(session, None)
            sessions[session] = note
            if len(sessions) > self._MOST_SESSIONS:
                del sessions[next(iter(sessions))]

    def delivered(self, instance: str, note: Any, body: Body) -> None:
        for topic in body["Responses"]:
            for part in topic["Partitions"]:
                start = note.get((topic["Topic"], part["PartitionIndex"]), 0)
                for first, last in data_ranges(part["Records"], start):
                    fields = {
                        "instance": instance,
                        "topic": topic["Topic"],
                        "partition": part["PartitionIndex"],
                        "first": first,
                        "last": last,
                    }
                    self._record("fetched", fields)


class MetadataObserver(Observer):
    """Hides topics that the program may not know of, and lets some be led by brokers of their own.
    The note is the set of names asked for."""

    def __init__(self, policy: Policy, names: TopicNames, leaders: Mapping[str, int]) -> None:
        """leaders: the port of a topic's broker, which is that broker's node id, too."""
        self._policy = policy
        self._names = names
        self._leaders = leaders

    def forwarded(self, instance: str, body: Body) -> set[str]:
        return {topic["Name"] for topic in body["Topics"] or ()}

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        self._names.learn(body["Topics"])

    def rewrites(self, note: Any, body: Body) -> bool:
        shown = [
            t for t in body["Topics"] if t["Name"] is None or t["Name"] in self._policy.visible
        ]
        hidden = [t["Name"] for t in body["Topics"] if t not in shown]
        body["Topics"] = shown + [_hidden_topic(name) for name in hidden if name in note]
        self._spread(body)
        return bool(hidden or self._leaders)

    def _spread(self, body: Body) -> None:
        """Give topics to brokers that are this one at another port."""
        body["Brokers"] += [
            broker | {"NodeId": port, "Port": port}
            for broker in body["Brokers"]
            for port in set(self._leaders.values())
        ]
        for topic in body["Topics"]:
            if node := self._leaders.get(topic["Name"]):
                for partition in topic.get("Partitions", ()):
                    partition |= {"LeaderId": node, "ReplicaNodes": [node], "IsrNodes": [node]}


def _hidden_topic(name: str) -> Body:
    return {"Name": name, "ErrorCode": ErrorCode.TOPIC_AUTHORIZATION_FAILED}
