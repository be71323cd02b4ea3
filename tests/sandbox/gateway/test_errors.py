"""Errors in the broker's place that pass, towards real clients: each goes on."""

import asyncio

import pytest

from sandbox.gateway import Fault
from tests.sandbox.gateway.clients import OTHERS
from tests.sandbox.gateway.stage import Stage

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

CONSUMER = ("Metadata", "FindCoordinator", "Fetch", "OffsetCommit")
CLASSIC = ("JoinGroup", "SyncGroup", "Heartbeat")
COPIER = (*CLASSIC, "Metadata", "FindCoordinator", "Fetch", "InitProducerId", "AddPartitionsToTxn")
TRANSACTIONS = (*COPIER, "AddOffsetsToTxn", "TxnOffsetCommit", "Produce", "EndTxn")
CLIENTS = {
    "librdkafka classic": ("confluent", "classic", (*CONSUMER, *CLASSIC)),
    "librdkafka consumer": ("confluent", "consumer", (*CONSUMER, "ConsumerGroupHeartbeat")),
    "librdkafka transactions": ("confluent_transactions", "classic", TRANSACTIONS),
    "aiokafka transactions": ("aiokafka_transactions", "classic", TRANSACTIONS),
    "kafka-python": ("kafka_python", "classic", (*CONSUMER, *CLASSIC, "Produce")),
    "Java classic": ("java", "classic", (*CONSUMER, *CLASSIC)),
    "Java consumer": ("java", "consumer", (*CONSUMER, "ConsumerGroupHeartbeat")),
    "kafkajs": ("kafkajs", "classic", (*CONSUMER, *CLASSIC, "Produce")),
}


async def orchestrate(stage: Stage, program: str, protocol: str) -> None:
    """Start the program, and again as often as it ends."""
    while True:
        box = await stage.start("app", program, PROTOCOL=protocol)
        await box.wait()
        await stage.gateway.detach("app")
        await stage.gateway.evict("app")


async def play(stage: Stage, client: str, wanted: dict[str, str]) -> list[Fault]:
    """Let a client meet one error of each API; return the faults once it has dealt with all."""
    program, protocol, _ = CLIENTS[client]
    await stage.send(3)
    faults = [stage.gateway.fault(api).error(name) for api, name in wanted.items()]
    life = asyncio.create_task(orchestrate(stage, program, protocol))
    try:
        await stage.fact("commit", partition=0, offset=3, outcome="accepted")
        await stage.until(lambda: all(fault.applied for fault in faults))
    finally:
        life.cancel()
    return faults


PASSING = {
    "Metadata": "LEADER_NOT_AVAILABLE",
    "FindCoordinator": "COORDINATOR_NOT_AVAILABLE",
    "JoinGroup": "COORDINATOR_LOAD_IN_PROGRESS",
    "SyncGroup": "REBALANCE_IN_PROGRESS",
    "Heartbeat": "REBALANCE_IN_PROGRESS",
    "ConsumerGroupHeartbeat": "COORDINATOR_LOAD_IN_PROGRESS",
    "Fetch": "NOT_LEADER_OR_FOLLOWER",
    "OffsetCommit": "COORDINATOR_LOAD_IN_PROGRESS",
    "Produce": "NOT_LEADER_OR_FOLLOWER",
    "InitProducerId": "CONCURRENT_TRANSACTIONS",
    "AddPartitionsToTxn": "CONCURRENT_TRANSACTIONS",
    "AddOffsetsToTxn": "COORDINATOR_LOAD_IN_PROGRESS",
    "TxnOffsetCommit": "COORDINATOR_LOAD_IN_PROGRESS",
    "EndTxn": "CONCURRENT_TRANSACTIONS",
}


NAMES = [
    pytest.param(name, marks=pytest.mark.long) if program in OTHERS else name
    for name, (program, _, _) in CLIENTS.items()
]


@pytest.mark.parametrize("client", NAMES)
async def test_a_client_goes_on_after_passing_errors(stage: Stage, client: str) -> None:
    """One of each, all in one life of the program."""
    await play(stage, client, {api: PASSING[api] for api in CLIENTS[client][2]})
    assert stage.boxes["app"].alive
