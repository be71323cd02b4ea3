"""Transactions as facts: whose they are, what they cover, how they ended."""

import asyncio

import pytest

from tests.sandbox.gateway.batch import batch
from tests.sandbox.gateway.stage import PARTITIONS, PATIENCE, Raw, Stage

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("program", ["confluent_transactions", "aiokafka_transactions"])
async def test_the_transactions_of_real_clients(stage: Stage, program: str) -> None:
    await stage.send(2)
    await stage.start("app", program)
    await stage.until(lambda: len(stage.of("ended")) == 2)
    (began,) = stage.of("producer", outcome="accepted")
    whose = {key: began[key] for key in ("transactional_id", "producer_id", "epoch")}
    assert whose["transactional_id"] == stage.group and whose["producer_id"] >= 0
    assert stage.of("enlisted", **whose, partitions=[[stage.out, 0]], outcome="accepted")
    assert stage.of("ended", **whose, committed=True, outcome="accepted", error=None)
    batches = stage.of("produced", transactional=True, epoch=began["epoch"])
    assert [b["sequence"] for b in batches] == [0, 1]
    first = stage.of("commit", producer_id=began["producer_id"], outcome="accepted")[0]
    assert (first["offset"], first["api"]) == (1, "TxnOffsetCommit")
    kinds = [f["kind"] for f in stage.facts if f.get("outcome") == "accepted"]
    assert kinds.index("enlisted") < kinds.index("produced") < kinds.index("ended")


async def begin(client: Raw, stage: Stage) -> dict:
    """Become the producer of the group's transactional id; return how its requests name it."""
    body = {"CoordinatorKeys": [stage.group], "KeyType": 1}
    while (await client.call("FindCoordinator", 4, body))["Coordinators"][0]["ErrorCode"]:
        pass  # its coordinator is coming up
    body = {"TransactionalId": stage.group, "TransactionTimeoutMs": 10_000}
    while (answer := await client.call("InitProducerId", 4, body))["ErrorCode"]:
        pass
    ids = {key: answer[key] for key in ("ProducerId", "ProducerEpoch")}
    return {"TransactionalId": stage.group, **ids}


async def enlist(client: Raw, stage: Stage, producer: dict, topic: str) -> dict:
    topics = [{"Name": topic, "Partitions": [0]}]
    names = {f"V3AndBelow{key}": value for key, value in producer.items()}
    return await client.call("AddPartitionsToTxn", 3, {**names, "V3AndBelowTopics": topics})


async def test_a_fenced_producer_ends_nothing(stage: Stage) -> None:
    client = await stage.raw()
    first = await begin(client, stage)
    await enlist(client, stage, first, stage.out)
    second = await begin(client, stage)
    assert second["ProducerEpoch"] > first["ProducerEpoch"]
    assert (await client.call("EndTxn", 3, first | {"Committed": True}))["ErrorCode"]
    (ended,) = stage.of("ended", epoch=first["ProducerEpoch"])
    assert (ended["outcome"], ended["error"]) == ("rejected", "PRODUCER_FENCED")
    fenced = await enlist(client, stage, first, stage.out)
    assert fenced["ResultsByTopicV3AndBelow"][0]["ResultsByPartition"][0]["PartitionErrorCode"]
    assert stage.of("enlisted", outcome="rejected", error="PRODUCER_FENCED")


async def test_an_end_whose_answer_is_lost_has_its_outcome(stage: Stage) -> None:
    client = await stage.raw()
    producer = await begin(client, stage)
    await enlist(client, stage, producer, stage.out)
    cut = stage.gateway.fault("EndTxn").cut_response()
    client.send("EndTxn", 3, producer | {"Committed": False})
    assert await client.closed()
    assert cut.applied == 1 and stage.of("ended", committed=False, outcome="accepted")


async def test_records_of_an_idempotent_producer_are_known_again(stage: Stage) -> None:
    client = await stage.raw()
    body = {"TransactionalId": None, "TransactionTimeoutMs": 0}
    answer = await client.call("InitProducerId", 4, body)
    records = batch(2, producer=(answer["ProducerId"], answer["ProducerEpoch"], 0))
    for _ in range(2):
        partitions = [{"Index": 0, "Records": records}]
        topics = [{"Name": stage.out, "PartitionData": partitions}]
        await client.call("Produce", 9, {"Acks": -1, "TimeoutMs": 5000, "TopicData": topics})
    first, again = stage.of("produced", producer_id=answer["ProducerId"], sequence=0)
    assert first == again and first["base_offset"] == 0 and not first["transactional"]
    assert stage.of("producer", transactional_id=None, outcome="accepted")


async def is_unstable(client: Raw, stage: Stage) -> bool:
    """Whether a consumer would have to wait for the end of a transaction with its offset."""
    partitions = [{"Name": stage.topic, "PartitionIndexes": list(range(PARTITIONS))}]
    body = {"GroupId": stage.group, "Topics": partitions, "RequireStable": True}
    (topic,) = (await client.call("OffsetFetch", 7, body))["Topics"]
    return any(part["ErrorCode"] for part in topic["Partitions"])


@pytest.mark.parametrize("program", ["confluent_transactions", "aiokafka_transactions"])
async def test_what_a_killed_producer_left_open_is_aborted_at_once(
    stage: Stage, program: str
) -> None:
    """The time-out is 60 s: so long nobody would get the offsets of its transaction."""
    ends = stage.gateway.fault("EndTxn", instance="app", times=None).hold()
    await stage.send(1)
    await stage.start("app", program)
    await stage.until(lambda: ends.held)
    client = await stage.raw()
    assert await is_unstable(client, stage)
    await stage.boxes["app"].kill()
    await stage.gateway.detach("app")
    for _ in range(2):
        await stage.gateway.abort_transactions("app")
    (ended,) = stage.of("ended", by="grader")
    assert (ended["instance"], ended["committed"], ended["outcome"]) == ("app", False, "accepted")
    # The coordinator answers before it has written the end into the group's partition.
    async with asyncio.timeout(PATIENCE):
        while await is_unstable(client, stage):
            pass
    assert not await is_unstable(client, stage)


async def test_a_transaction_of_the_next_producer_is_left_alone(stage: Stage) -> None:
    first, second = await stage.raw("first"), await stage.raw("second")
    await begin(first, stage)
    producer = await begin(second, stage)
    await enlist(second, stage, producer, stage.out)
    await stage.gateway.abort_transactions("first")
    assert not stage.of("ended")
    assert not (await second.call("EndTxn", 3, producer | {"Committed": True}))["ErrorCode"]


async def test_what_a_client_of_kafka_4_left_open_is_aborted_too(stage: Stage) -> None:
    """It enlists a partition by writing to it."""
    client = await stage.raw("app")
    producer = await begin(client, stage)
    whose = (producer["ProducerId"], producer["ProducerEpoch"], 0)
    partitions = [{"Index": 0, "Records": batch(1, producer=whose, transactional=True)}]
    topics = [{"Name": stage.out, "PartitionData": partitions}]
    body = {"TransactionalId": stage.group, "Acks": -1, "TimeoutMs": 5000, "TopicData": topics}
    await client.call("Produce", 12, body)
    assert stage.of("produced", transactional=True, outcome="accepted")
    for _ in range(2):
        await stage.gateway.abort_transactions("app")
    (ended,) = stage.of("ended", by="grader")
    assert (ended["epoch"], ended["committed"]) == (producer["ProducerEpoch"], False)
