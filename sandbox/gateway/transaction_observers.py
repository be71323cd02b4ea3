"""Facts about producers and their transactions: who began, what a transaction covers, how it ended.

A program's transactional commits and records are in `data_observers`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sandbox.gateway.codec import Body
from sandbox.gateway.data_observers import UNKNOWN, outcome_of
from sandbox.gateway.errors import ErrorCode, error_name
from sandbox.gateway.faults import Record
from sandbox.gateway.observer import Observer
from sandbox.gateway.transactions import Transactions


class Producer(NamedTuple):
    """A producer as its requests name it."""

    transactional_id: str | None
    producer_id: int
    epoch: int


class TransactionObserver(Observer):
    """The ground of the others: whatever is under way when a program dies still counts."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def matters(self, note: Any) -> bool:
        return True

    def _note(self, kind: str, instance: str, producer: Producer, **fields: Any) -> None:
        self._record(kind, {"instance": instance, **producer._asdict(), **fields})


class ProducerObserver(TransactionObserver):
    """`producer` facts of InitProducerId. The note is the transactional id, None without one."""

    def __init__(self, record: Record, transactions: Transactions) -> None:
        super().__init__(record)
        self._transactions = transactions

    def forwarded(self, instance: str, body: Body) -> str | None:
        return body["TransactionalId"]

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        producer = Producer(note, body["ProducerId"], body["ProducerEpoch"])
        if note is not None and body["ErrorCode"] == ErrorCode.NONE:
            self._transactions.add(instance, note)
        self._note("producer", instance, producer, **_result(body["ErrorCode"]))

    def lost(self, instance: str, note: Any) -> None:
        self._note("producer", instance, Producer(note, -1, -1), **_UNSEEN)


class EnlistObserver(TransactionObserver):
    """`enlisted` facts of AddPartitionsToTxn. The note is [(producer, [[topic, partition]])].

    Clients send one transaction a request (up to version 3), and its partitions are enlisted all
    or none. The versions for brokers take several: one error then counts for all of them.
    """

    def forwarded(self, instance: str, body: Body) -> list[tuple[Producer, list[list[Any]]]]:
        return [
            (
                producer,
                [[topic["Name"], index] for topic in topics for index in topic["Partitions"]],
            )
            for producer, topics in _transactions(body)
        ]

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        errors = [code for code in _codes(body) if code != ErrorCode.NONE]
        causes = [code for code in errors if code != ErrorCode.OPERATION_NOT_ATTEMPTED]
        result = _result((causes or errors or [ErrorCode.NONE])[0])
        for producer, partitions in note:
            self._note("enlisted", instance, producer, partitions=partitions, **result)

    def lost(self, instance: str, note: Any) -> None:
        for producer, partitions in note:
            self._note("enlisted", instance, producer, partitions=partitions, **_UNSEEN)


class EndObserver(TransactionObserver):
    """`ended` facts of EndTxn. The note is (producer, whether it is to be committed)."""

    def forwarded(self, instance: str, body: Body) -> tuple[Producer, bool]:
        producer = Producer(body["TransactionalId"], body["ProducerId"], body["ProducerEpoch"])
        return producer, body["Committed"]

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        producer, committed = note
        self._note("ended", instance, producer, committed=committed, **_result(body["ErrorCode"]))

    def lost(self, instance: str, note: Any) -> None:
        producer, committed = note
        self._note("ended", instance, producer, committed=committed, **_UNSEEN)


_UNSEEN: dict[str, Any] = {"outcome": UNKNOWN, "error": None}


def _result(code: int) -> dict[str, Any]:
    return {"outcome": outcome_of(code), "error": error_name(code)}


def _transactions(body: Body) -> Iterator[tuple[Producer, list[Body]]]:
    """Each transaction that an AddPartitionsToTxn names; up to version 3 it is one."""
    for each in body.get("Transactions", ()):
        producer = Producer(each["TransactionalId"], each["ProducerId"], each["ProducerEpoch"])
        yield producer, each["Topics"]
    if "V3AndBelowTopics" in body:
        fields = ("TransactionalId", "ProducerId", "ProducerEpoch")
        yield Producer(*(body[f"V3AndBelow{field}"] for field in fields)), body["V3AndBelowTopics"]


def _codes(body: Body) -> Iterator[int]:
    """Every error code in the answer to an AddPartitionsToTxn."""
    yield body.get("ErrorCode", ErrorCode.NONE)
    batched = [t for each in body.get("ResultsByTransaction", ()) for t in each["TopicResults"]]
    for topic in [*body.get("ResultsByTopicV3AndBelow", ()), *batched]:
        yield from (part["PartitionErrorCode"] for part in topic["ResultsByPartition"])
