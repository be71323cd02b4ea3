"""Which group members each instance is, and how to end their sessions at once."""

from collections import defaultdict
from dataclasses import dataclass

from sandbox.gateway.errors import ErrorCode
from sandbox.gateway.link import Link

_LEAVE_GROUP_VERSION = 3  # the first that names a static member
_HEARTBEAT_VERSION = 0
_LEAVE_EPOCH = -1  # for good
PAUSE_EPOCH = -2  # of a static member: it keeps its partitions from others


@dataclass(frozen=True)
class Member:
    """A member of a consumer group; `protocol` is "classic" or "consumer" (KIP-848)."""

    group: str
    id: str
    protocol: str
    static_id: str | None


class Members:
    """The members that instances were seen to be, until they left or were evicted."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._members: defaultdict[str, dict[tuple[str, str], Member]] = defaultdict(dict)

    def add(self, instance: str, member: Member) -> None:
        self._members[instance][member.group, member.id] = member

    def remove(self, instance: str, group: str, member_id: str) -> None:
        self._members[instance].pop((group, member_id), None)

    async def evict(self, instance: str) -> list[Member]:
        """Make the broker forget the instance's members; return those it still knew.

        Raises BrokerUnreachable.
        """
        evicted = []
        for member in list(self._members[instance].values()):
            if await self._leave(member):
                evicted.append(member)
            self.remove(instance, member.group, member.id)
        return evicted

    async def _leave(self, member: Member) -> bool:
        leave = self._leave_classic if member.protocol == "classic" else self._leave_consumer
        return await leave(member) == ErrorCode.NONE

    async def _leave_classic(self, member: Member) -> int:
        row = {"MemberId": member.id, "GroupInstanceId": member.static_id}
        body = {"GroupId": member.group, "Members": [row]}
        answer = await self._link.call("LeaveGroup", _LEAVE_GROUP_VERSION, body)
        return answer["ErrorCode"] or answer["Members"][0]["ErrorCode"]

    async def _leave_consumer(self, member: Member) -> int:
        body = {
            "GroupId": member.group,
            "MemberId": member.id,
            "MemberEpoch": _LEAVE_EPOCH,
            "InstanceId": member.static_id,
        }
        answer = await self._link.call("ConsumerGroupHeartbeat", _HEARTBEAT_VERSION, body)
        return answer["ErrorCode"]
