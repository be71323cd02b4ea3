"""Which observer sees which API."""

from collections.abc import Mapping

from sandbox.gateway.codec import Codec
from sandbox.gateway.data_observers import (
    CommitObserver,
    FetchObserver,
    MetadataObserver,
    ProduceObserver,
)
from sandbox.gateway.faults import Record
from sandbox.gateway.group_observers import (
    ConsumerHeartbeatObserver,
    JoinGroupObserver,
    LeaveGroupObserver,
    SyncGroupObserver,
)
from sandbox.gateway.members import Members
from sandbox.gateway.observer import Noted, Observer
from sandbox.gateway.policy import Policy
from sandbox.gateway.topics import TopicNames
from sandbox.gateway.transaction_observers import EndObserver, EnlistObserver, ProducerObserver
from sandbox.gateway.transactions import Transactions


def make_observers(
    record: Record,
    codec: Codec,
    policy: Policy,
    members: Members,
    transactions: Transactions,
    names: TopicNames,
    leaders: Mapping[str, int],
    noted: Noted,
) -> dict[str, Observer]:
    """Return the observer of each API that has one."""
    return {
        "Produce": ProduceObserver(record, names),
        "Fetch": FetchObserver(record, names, noted),
        "Metadata": MetadataObserver(policy, names, leaders),
        "OffsetCommit": CommitObserver("OffsetCommit", record, names),
        "TxnOffsetCommit": CommitObserver("TxnOffsetCommit", record, names),
        "InitProducerId": ProducerObserver(record, transactions),
        "AddPartitionsToTxn": EnlistObserver(record),
        "EndTxn": EndObserver(record),
        "JoinGroup": JoinGroupObserver(record, members),
        "SyncGroup": SyncGroupObserver(record, members, codec),
        "LeaveGroup": LeaveGroupObserver(record, members),
        "ConsumerGroupHeartbeat": ConsumerHeartbeatObserver(record, members, names),
    }
