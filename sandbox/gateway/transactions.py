"""Whose transactions are whose, and how to end those of the dead at once."""

from sandbox.gateway.codec import Body
from sandbox.gateway.errors import ErrorCode
from sandbox.gateway.link import Link

_DESCRIBE_VERSION = 0
_END_VERSION = 5  # gives the next producer of this id a new epoch, as a timeout does
_OPEN = "Ongoing"


class Transactions:
    """The transactional ids, each with the instance that became its producer last."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._producers: dict[str, str] = {}

    def add(self, instance: str, transactional_id: str) -> None:
        self._producers[transactional_id] = instance

    async def abort(self, instance: str) -> list[Body]:
        """Abort what the instance has left open, and return it as DescribeTransactions does.

        Raises BrokerUnreachable.
        """
        mine = [id for id, producer in self._producers.items() if producer == instance]
        if not mine:
            return []
        body = {"TransactionalIds": mine}
        answer = await self._link.call("DescribeTransactions", _DESCRIBE_VERSION, body)
        left = [
            state for state in answer["TransactionStates"] if state["TransactionState"] == _OPEN
        ]
        return [state for state in left if await self._end(state)]

    async def _end(self, state: Body) -> bool:
        body = {key: state[key] for key in ("TransactionalId", "ProducerId", "ProducerEpoch")}
        answer = await self._link.call("EndTxn", _END_VERSION, body | {"Committed": False})
        return bool(answer["ErrorCode"] == ErrorCode.NONE)
