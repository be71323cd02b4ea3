"""Facts about consumer groups: who joined, who owns which partitions, who left."""

from collections.abc import Iterator
from typing import Any

from sandbox.gateway.codec import Body, Codec
from sandbox.gateway.errors import ErrorCode
from sandbox.gateway.faults import Record
from sandbox.gateway.members import PAUSE_EPOCH, Member, Members
from sandbox.gateway.observer import Observer
from sandbox.gateway.topics import TopicNames
from sandbox.gateway.wire import Malformed


class GroupObserver(Observer):
    """The ground of the observers that know the members of groups."""

    def __init__(self, record: Record, members: Members) -> None:
        self._record = record
        self._members = members

    def _joined(self, instance: str, member: Member, generation: int) -> None:
        fields = {"generation": generation, "protocol": member.protocol}
        self._record("joined", _of_member(instance, member.group, member.id) | fields)

    def _assigned(
        self,
        instance: str,
        group: str,
        member_id: str,
        generation: int,
        partitions: list[list[Any]],
    ) -> None:
        fields = {"generation": generation, "partitions": sorted(partitions)}
        self._record("assigned", _of_member(instance, group, member_id) | fields)

    def _left(self, instance: str, group: str, member_id: str) -> None:
        self._members.remove(instance, group, member_id)
        self._record("left", _of_member(instance, group, member_id) | {"by": "program"})


def _of_member(instance: str, group: str, member_id: str) -> dict[str, Any]:
    return {"instance": instance, "group": group, "member": member_id}


class JoinGroupObserver(GroupObserver):
    """`joined` facts of the classic protocol. The note is the member as the request names it."""

    def forwarded(self, instance: str, body: Body) -> Member:
        static_id = body.get("GroupInstanceId")
        member = Member(body["GroupId"], body["MemberId"], "classic", static_id)
        if member.id:
            self._members.add(instance, member)
        return member

    def matters(self, note: Any) -> bool:
        return not note.id  # the answer, which comes at once, will name the member

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        error = body["ErrorCode"]
        if error not in (ErrorCode.NONE, ErrorCode.MEMBER_ID_REQUIRED):
            return
        member = Member(note.group, body["MemberId"], "classic", note.static_id)
        self._members.add(instance, member)
        if error == ErrorCode.NONE:
            self._joined(instance, member, body["GenerationId"])


class SyncGroupObserver(GroupObserver):
    """`assigned` facts of the classic protocol. The note is (group, member id, generation)."""

    _NEWEST = 3  # newer assignments only append fields; all clients write them so

    def __init__(self, record: Record, members: Members, codec: Codec) -> None:
        super().__init__(record, members)
        self._codec = codec

    def forwarded(self, instance: str, body: Body) -> tuple[str, str, int]:
        return body["GroupId"], body["MemberId"], body["GenerationId"]

    def delivered(self, instance: str, note: Any, body: Body) -> None:
        if body["ErrorCode"] != ErrorCode.NONE:
            return
        # What the group's leader, a program, sent; it may be anything.
        try:
            partitions = list(self._partitions(body["Assignment"]))
        except Malformed:
            return
        group, member_id, generation = note
        self._assigned(instance, group, member_id, generation, partitions)

    def _partitions(self, assignment: bytes) -> Iterator[list[Any]]:
        if not assignment:
            return
        version = min(int.from_bytes(assignment[:2], signed=True), self._NEWEST)
        decoded = self._codec.decode("ConsumerProtocolAssignment", max(version, 0), assignment[2:])
        for topic in decoded["AssignedPartitions"]:
            for partition in topic["Partitions"]:
                yield [topic["Topic"], partition]


class LeaveGroupObserver(GroupObserver):
    """`left` facts of the classic protocol. The note is (group, [member id])."""

    def forwarded(self, instance: str, body: Body) -> tuple[str, list[str]]:
        rows = body.get("Members") or [body]  # before version 3: one member, in the body itself
        return body["GroupId"], [row["MemberId"] for row in rows]

    def matters(self, note: Any) -> bool:
        return True

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        group, member_ids = note
        codes = [row["ErrorCode"] for row in body.get("Members", [])] or [ErrorCode.NONE]
        for member_id, code in zip(member_ids, codes, strict=False):
            if body["ErrorCode"] == code == ErrorCode.NONE:
                self._left(instance, group, member_id)


class ConsumerHeartbeatObserver(GroupObserver):
    """All of the consumer protocol (KIP-848): it joins, learns its partitions and leaves by
    heartbeats. The note is the member as the request names it, and the epoch it sends."""

    def __init__(self, record: Record, members: Members, names: TopicNames) -> None:
        super().__init__(record, members)
        self._names = names

    def forwarded(self, instance: str, body: Body) -> tuple[Member, int]:
        member = Member(body["GroupId"], body["MemberId"], "consumer", body["InstanceId"])
        if member.id and body["MemberEpoch"] >= 0:
            self._members.add(instance, member)
        return member, body["MemberEpoch"]

    def matters(self, note: Any) -> bool:
        return True

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        asked, epoch = note
        if body["ErrorCode"] != ErrorCode.NONE:
            return
        if epoch == PAUSE_EPOCH:
            return  # its partitions stay with it, and with nobody else, until its session expires
        if epoch < 0:
            self._left(instance, asked.group, asked.id)
            return
        member = Member(asked.group, body["MemberId"] or asked.id, "consumer", asked.static_id)
        self._members.add(instance, member)
        if epoch == 0:
            self._joined(instance, member, body["MemberEpoch"])
        if body["Assignment"] is not None:
            await self._names.ask(t["TopicId"] for t in body["Assignment"]["TopicPartitions"])

    def delivered(self, instance: str, note: Any, body: Body) -> None:
        asked, epoch = note
        if body["ErrorCode"] != ErrorCode.NONE or epoch < 0 or body["Assignment"] is None:
            return
        rows = body["Assignment"]["TopicPartitions"]
        self._names.fill(rows)
        known = [row for row in rows if row["Name"] is not None]  # the topic may be deleted by now
        partitions = [[row["Name"], each] for row in known for each in row["Partitions"]]
        member_id = body["MemberId"] or asked.id
        self._assigned(instance, asked.group, member_id, body["MemberEpoch"], partitions)
