"""Faults on real connections, towards a client that says exactly what a test wants said."""

import pytest

from sandbox.broker import Broker
from sandbox.gateway import Limits
from sandbox.gateway.errors import ErrorCode
from tests.sandbox.gateway.stage import Raw, Stage

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]


def commit(stage: Stage, offset: int, topic: str | None = None, group: str | None = None) -> dict:
    partition = {"PartitionIndex": 0, "CommittedOffset": offset}
    return {
        "GroupId": group or stage.group,
        "Topics": [{"Name": topic or stage.topic, "Partitions": [partition]}],
    }


async def committing(client: Raw, stage: Stage, offset: int) -> int:
    """Commit from outside any group and return the error code."""
    answer = await client.call("OffsetCommit", 8, commit(stage, offset))
    return answer["Topics"][0]["Partitions"][0]["ErrorCode"]


async def ready(stage: Stage) -> Raw:
    """A client whose group's coordinator is up."""
    client = await stage.raw()
    body = {"CoordinatorKeys": [stage.group], "KeyType": 0}
    assert (await client.call("FindCoordinator", 4, body))["Coordinators"][0]["ErrorCode"] == 0
    return client


# --- order ----------------------------------------------------------------------------------------


async def test_a_held_request_holds_those_behind_it(stage: Stage) -> None:
    client, other = await ready(stage), await stage.raw()
    hold = stage.gateway.fault("OffsetCommit").hold()
    numbers = [client.send("OffsetCommit", 8, commit(stage, 1)), client.send("Metadata", 4, {})]
    await hold.wait_applied()
    assert hold.held
    await other.call("Metadata", 4, {"Topics": None})  # other connections go on
    assert await stage.committed() is None
    hold.release()
    assert [(await client.receive())[0] for _ in numbers] == numbers
    assert await stage.committed() == 1
    assert not hold.held


async def test_a_held_request_may_be_answered_with_an_error_before_those_behind_it(
    stage: Stage,
) -> None:
    client = await ready(stage)
    hold = stage.gateway.fault("OffsetCommit").hold_error("NOT_COORDINATOR")
    first = client.send("OffsetCommit", 8, commit(stage, 1))
    second = client.send("OffsetCommit", 8, commit(stage, 2))
    await hold.wait_applied()
    assert hold.held
    hold.release()
    answers = [await client.receive() for _ in range(2)]
    assert [number for number, _ in answers] == [first, second]
    codes = [body["Topics"][0]["Partitions"][0]["ErrorCode"] for _, body in answers]
    assert codes == [ErrorCode.NOT_COORDINATOR, ErrorCode.NONE]
    assert await stage.committed() == 2


async def test_a_held_response_is_done_and_holds_those_behind_it(stage: Stage) -> None:
    client = await ready(stage)
    hold = stage.gateway.fault("OffsetCommit").hold_response()
    numbers = [client.send("OffsetCommit", 8, commit(stage, 1)), client.send("Metadata", 4, {})]
    await hold.wait_applied()
    await stage.fact("commit", outcome="accepted", offset=1)
    assert await stage.committed() == 1
    hold.release()
    assert [(await client.receive())[0] for _ in numbers] == numbers


async def test_our_own_answers_wait_for_their_turn(stage: Stage) -> None:
    client = await ready(stage)
    hold = stage.gateway.fault("Metadata").hold_response()
    stage.gateway.fault("OffsetCommit").error("NOT_COORDINATOR")
    first = client.send("Metadata", 4, {})
    second = client.send("OffsetCommit", 8, commit(stage, 1))
    third = client.send("Metadata", 4, {})
    await hold.wait_applied()
    hold.release()
    answers = [await client.receive() for _ in range(3)]
    assert [number for number, _ in answers] == [first, second, third]
    code = answers[1][1]["Topics"][0]["Partitions"][0]["ErrorCode"]
    assert code == ErrorCode.NOT_COORDINATOR
    assert await stage.committed() is None


async def test_a_delayed_request_arrives(stage: Stage) -> None:
    client = await ready(stage)
    delay = stage.gateway.fault("OffsetCommit").delay(0.01)
    assert await committing(client, stage, 1) == 0
    assert delay.applied == 1


# --- loss -----------------------------------------------------------------------------------------


async def test_a_lost_request_leaves_the_connection_silent(stage: Stage) -> None:
    client, other = await ready(stage), await stage.raw()
    lost = stage.gateway.fault("OffsetCommit").drop_request()
    client.send("OffsetCommit", 8, commit(stage, 1))
    await lost.wait_applied()
    client.send("OffsetCommit", 8, commit(stage, 2))
    assert await committing(other, stage, 3) == 0
    client.writer.write_eof()
    assert await client.closed()  # without one answer
    assert [fact["offset"] for fact in stage.of("commit")] == [3]


async def test_a_lost_response_is_done_and_leaves_the_connection_silent(stage: Stage) -> None:
    client, other = await ready(stage), await stage.raw()
    stage.gateway.fault("OffsetCommit").drop_response()
    client.send("OffsetCommit", 8, commit(stage, 1))
    await stage.fact("commit", offset=1, outcome="accepted")
    client.send("OffsetCommit", 8, commit(stage, 2))
    await other.call("Metadata", 4, {})
    client.writer.write_eof()
    assert await client.closed()
    assert await stage.committed() == 1


async def test_cut_closes_before_the_broker_sees_it(stage: Stage) -> None:
    client = await ready(stage)
    cut = stage.gateway.fault("OffsetCommit").cut()
    client.send("OffsetCommit", 8, commit(stage, 1))
    assert await client.closed()
    assert cut.applied == 1 and not stage.of("commit") and await stage.committed() is None
    await stage.fact("connection", what="closed", detail="cut by the grader")


async def test_cut_response_closes_when_it_is_done(stage: Stage) -> None:
    client = await ready(stage)
    stage.gateway.fault("OffsetCommit").cut_response()
    client.send("OffsetCommit", 8, commit(stage, 1))
    assert await client.closed()
    assert await stage.committed() == 1
    assert stage.of("commit", offset=1, outcome="accepted")


async def test_a_released_request_of_a_dead_client_still_arrives(stage: Stage) -> None:
    client = await ready(stage)
    hold = stage.gateway.fault("OffsetCommit").hold()
    client.send("OffsetCommit", 8, commit(stage, 1))
    await hold.wait_applied()
    client.writer.transport.abort()
    hold.release()
    await stage.fact("commit", offset=1, outcome="accepted")
    assert await stage.committed() == 1


async def test_the_outcome_of_a_dead_clients_last_commit_is_known(stage: Stage) -> None:
    client = await ready(stage)
    client.send("OffsetCommit", 8, commit(stage, 1))
    await client.writer.drain()
    client.writer.close()
    await stage.fact("commit", offset=1, outcome="accepted")


async def test_what_is_held_at_detach_is_lost(stage: Stage) -> None:
    client = await ready(stage)
    hold = stage.gateway.fault("OffsetCommit").hold()
    client.send("OffsetCommit", 8, commit(stage, 1))
    await hold.wait_applied()
    await stage.gateway.detach("raw")
    assert not hold.held
    hold.release()
    assert await client.closed()
    assert await stage.committed() is None and not stage.of("commit")


async def test_release_all_ends_every_fault(stage: Stage) -> None:
    client = await ready(stage)
    held = stage.gateway.fault("OffsetCommit").hold()
    armed = stage.gateway.fault("Produce").cut()
    done = stage.gateway.fault("Metadata").delay(0)
    await client.call("Metadata", 4, {})
    client.send("OffsetCommit", 8, commit(stage, 1))
    await held.wait_applied()
    stage.gateway.release_all()
    await client.receive()
    assert await stage.committed() == 1
    cancelled = {fact["fault"] for fact in stage.of("fault", what="cancelled")}
    assert cancelled == {held.id, armed.id} and done.applied == 1


# --- links ----------------------------------------------------------------------------------------


async def test_a_slow_link_takes_its_time_by_bytes(stage: Stage) -> None:
    client = await ready(stage)
    out = stage.gateway.fault("OffsetCommit").slow(100_000)
    back = stage.gateway.fault("OffsetCommit").slow_response(100_000)
    assert await committing(client, stage, 1) == 0
    assert (out.applied, back.applied, out.over, back.over) == (1, 1, True, True)


async def test_what_a_slow_link_still_carries_goes_on_when_it_heals(stage: Stage) -> None:
    client = await ready(stage)
    slow = stage.gateway.fault("OffsetCommit").slow(0.001)
    late = stage.gateway.fault("OffsetCommit").delay_response(1e9)
    number = client.send("OffsetCommit", 8, commit(stage, 1))
    await slow.wait_applied()
    assert await stage.committed() is None
    slow.cancel()
    await late.wait_applied()
    assert await stage.committed() == 1
    stage.gateway.release_all()
    assert (await client.receive())[0] == number


async def test_a_link_whose_answers_vanish(stage: Stage) -> None:
    client, other = await ready(stage), await stage.raw("other")
    cut = stage.gateway.fault(None, instance="raw", times=None).hold_response()
    numbers = [client.send("OffsetCommit", 8, commit(stage, offset)) for offset in (1, 2)]
    await stage.fact("commit", offset=1, outcome="accepted")
    assert "ClusterId" in await other.call("Metadata", 4, {})
    while await stage.committed() != 2:
        pass  # the second one passes although the answer to the first is stuck
    cut.release()
    assert [(await client.receive())[0] for _ in numbers] == numbers
    assert stage.of("fault", fault=cut.id, what="armed", target="any request", instance="raw")


async def test_a_link_whose_requests_vanish(stage: Stage) -> None:
    client = await ready(stage)
    last = stage.gateway.fault("OffsetCommit").hold_response()
    first = client.send("OffsetCommit", 8, commit(stage, 1))
    await last.wait_applied()
    cut = stage.gateway.fault(None, instance="raw", times=None).hold()
    client.send("OffsetCommit", 8, commit(stage, 2))
    await cut.wait_applied()
    last.release()
    assert (await client.receive())[0] == first
    cut.drop()
    client.writer.write_eof()
    assert await client.closed()
    assert await stage.committed() == 1


async def test_what_meets_a_fault_counts_against_the_history(broker: Broker) -> None:
    storm = Stage(broker, Limits(history_bytes=5000))
    client = await storm.raw()
    storm.gateway.fault("Metadata", nth=100_000).cut()
    for _ in range(500):
        client.send("Metadata", 4, {})
    await storm.fact("refused", api="all")
    assert len(repr(storm.facts)) < 10_000
    await storm.close()


# --- which requests -------------------------------------------------------------------------------


async def test_nth_and_times_choose_among_matches(stage: Stage) -> None:
    client = await ready(stage)
    fault = stage.gateway.fault("OffsetCommit", nth=2, times=2).error("NOT_COORDINATOR")
    codes = [await committing(client, stage, offset) for offset in (1, 2, 3, 4)]
    assert codes == [0, ErrorCode.NOT_COORDINATOR, ErrorCode.NOT_COORDINATOR, 0]
    assert (fault.matched, fault.applied) == (3, 2)
    told = [(fact["what"], fact["target"]) for fact in stage.of("fault", fault=fault.id)]
    place = f"OffsetCommit {stage.topic}-0"
    assert told == [
        ("armed", "OffsetCommit"),
        ("matched", "OffsetCommit"),
        ("applied", f"{place}@2"),
        ("applied", f"{place}@3"),
    ]


async def test_every_match_until_it_is_cancelled(stage: Stage) -> None:
    client = await ready(stage)
    fault = stage.gateway.fault("OffsetCommit", times=None).error("REBALANCE_IN_PROGRESS")
    codes = {await committing(client, stage, offset) for offset in (1, 2, 3)}
    fault.cancel()
    assert codes == {ErrorCode.REBALANCE_IN_PROGRESS}
    assert await committing(client, stage, 4) == 0


async def test_instance_topic_and_where_narrow_a_fault(stage: Stage) -> None:
    client = await ready(stage)
    faults = [
        stage.gateway.fault("OffsetCommit", instance="another").cut(),
        stage.gateway.fault("OffsetCommit", topic=stage.out).cut(),
        stage.gateway.fault(
            ("OffsetCommit", "TxnOffsetCommit"),
            topic=stage.topic,
            where=lambda body: body["Topics"][0]["Partitions"][0]["CommittedOffset"] == 2,
        ).error("NOT_COORDINATOR"),
    ]
    codes = [await committing(client, stage, offset) for offset in (1, 2)]
    assert codes == [0, ErrorCode.NOT_COORDINATOR]
    assert [fault.applied for fault in faults] == [0, 0, 1]


async def test_faults_that_cannot_be(stage: Stage) -> None:
    with pytest.raises(ValueError, match="no API Comit"):
        stage.gateway.fault("Comit")
    with pytest.raises(ValueError, match=r"OUT_OF_ORDER.* is no legal error of OffsetCommit"):
        stage.gateway.fault("OffsetCommit").error("OUT_OF_ORDER_SEQUENCE_NUMBER")
    with pytest.raises(ValueError, match="count from 1"):
        stage.gateway.fault("OffsetCommit", nth=0)


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "told"), [(1, "INVALID_PRODUCER_EPOCH"), (3, None)])
async def test_old_versions_are_told_what_they_know(
    stage: Stage, version: int, told: str | None
) -> None:
    client = await ready(stage)
    stage.gateway.fault("EndTxn").error("PRODUCER_FENCED")
    body = {"TransactionalId": "t", "ProducerId": 1, "ProducerEpoch": 0, "Committed": True}
    answer = await client.call("EndTxn", version, body)
    assert answer["ErrorCode"] == ErrorCode[told or "PRODUCER_FENCED"]


async def test_metadata_errors_come_with_the_brokers(stage: Stage) -> None:
    client = await ready(stage)
    for error in ("LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PARTITION"):
        stage.gateway.fault("Metadata").error(error)
        answer = await client.call("Metadata", 9, {"Topics": [{"Name": stage.topic}]})
        (topic,) = answer["Topics"]
        codes = [topic["ErrorCode"], *(p["ErrorCode"] for p in topic["Partitions"])]
        assert answer["Brokers"] and ErrorCode[error] in codes
    assert (await client.call("Metadata", 9, {"Topics": None}))["Topics"][0]["ErrorCode"] == 0
