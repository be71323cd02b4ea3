"""The gateway towards clients that say exactly what a test wants said."""

import asyncio

import pytest

from sandbox.broker import Broker
from sandbox.gateway import Limits
from sandbox.gateway.errors import ErrorCode
from tests.sandbox.gateway.batch import batch
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


# --- what is granted ------------------------------------------------------------------------------

FORBIDDEN = [
    ("CreateTopics", 7, {"Topics": [{"Name": "new", "NumPartitions": 1}]}),
    ("DeleteTopics", 5, {"TopicNames": ["{topic}"]}),
    ("CreatePartitions", 3, {"Topics": [{"Name": "{topic}", "Count": 9}]}),
    ("DeleteRecords", 2, {"Topics": [{"Name": "{topic}", "Partitions": [{"Offset": 1}]}]}),
    ("AlterConfigs", 2, {"Resources": [{"ResourceType": 2, "ResourceName": "{topic}"}]}),
    ("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 2, "ResourceName": "{topic}"}]}),
    ("DeleteGroups", 2, {"GroupsNames": ["{group}"]}),
    ("OffsetDelete", 0, {"GroupId": "{group}", "Topics": []}),
    ("CreateAcls", 3, {"Creations": [{"ResourceType": 2, "ResourceName": "{topic}"}]}),
    ("ListGroups", 4, {}),
    ("JoinGroup", 5, {"GroupId": "another", "ProtocolType": "consumer"}),
    ("Heartbeat", 4, {"GroupId": "another"}),
    ("LeaveGroup", 4, {"GroupId": "another", "Members": [{"MemberId": "x"}]}),
    ("ConsumerGroupHeartbeat", 0, {"GroupId": "another", "MemberId": "x"}),
    ("FindCoordinator", 4, {"CoordinatorKeys": ["another"]}),
    ("OffsetFetch", 8, {"Groups": [{"GroupId": "another", "Topics": None}]}),
    ("DescribeGroups", 5, {"Groups": ["another"]}),
    ("ListOffsets", 7, {"Topics": [{"Name": "{secret}", "Partitions": [{"Timestamp": -1}]}]}),
    ("Fetch", 12, {"Topics": [{"Topic": "{secret}", "Partitions": [{"Partition": 0}]}]}),
    ("Fetch", 13, {"Topics": [{"TopicId": bytes(15) + b"x", "Partitions": [{"Partition": 0}]}]}),
    ("Produce", 9, {"Acks": -1, "TopicData": [{"Name": "{topic}", "PartitionData": [{}]}]}),
    ("AddOffsetsToTxn", 3, {"TransactionalId": "t", "GroupId": "another"}),
    (
        "AddPartitionsToTxn",
        3,
        {"V3AndBelowTopics": [{"Name": "{secret}", "Partitions": [0]}]},
    ),
]


def filled(template: object, names: dict[str, str]) -> object:
    """The template with this test's own names in it."""
    match template:
        case dict():
            return {key: filled(value, names) for key, value in template.items()}
        case list():
            return [filled(each, names) for each in template]
        case str():
            return template.format(**names)
    return template


def error_codes(body: object) -> set[int]:
    match body:
        case dict():
            own = {v for k, v in body.items() if k in ("ErrorCode", "PartitionErrorCode")}
            return own.union(*map(error_codes, body.values()))
        case list():
            return set().union(*map(error_codes, body))
    return set()


@pytest.mark.parametrize(
    ("api", "version", "template"), FORBIDDEN, ids=lambda value: str(value)[:30]
)
async def test_what_is_not_granted_gets_a_legal_refusal(
    stage: Stage, api: str, version: int, template: dict
) -> None:
    client = await stage.raw()
    names = {"topic": stage.topic, "secret": stage.secret, "group": stage.group}
    answer = await client.call(api, version, filled(template, names))
    refusals = {
        ErrorCode.TOPIC_AUTHORIZATION_FAILED,
        ErrorCode.GROUP_AUTHORIZATION_FAILED,
        ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
    }
    assert error_codes(answer) - {0} <= refusals and error_codes(answer) != {0}
    assert [fact["api"] for fact in stage.of("refused")] == [api]
    assert "ClusterId" in await client.call("Metadata", 4, {})  # and the connection lives


async def test_what_cannot_be_answered_ends_the_connection(stage: Stage) -> None:
    client = await stage.raw()
    client.send("WriteTxnMarkers", 1, {})
    assert await client.closed()
    assert stage.of("refused", api="WriteTxnMarkers")


async def test_creating_what_exists_is_answered_and_held_against_nobody(stage: Stage) -> None:
    """Many programs create their topics when they start."""
    client = await stage.raw()
    answer = await client.call("CreateTopics", 7, {"Topics": [{"Name": stage.topic}]})
    assert answer["Topics"][0]["ErrorCode"] == ErrorCode.TOPIC_ALREADY_EXISTS
    assert not stage.of("refused")


async def test_metadata_shows_no_topics_of_others(stage: Stage) -> None:
    client = await stage.raw()
    everything = await client.call("Metadata", 12, {"Topics": None})
    assert {topic["Name"] for topic in everything["Topics"]} == {stage.topic, stage.out}
    asked = await client.call("Metadata", 12, {"Topics": [{"Name": stage.secret}]})
    assert [(t["Name"], t["ErrorCode"], t["Partitions"]) for t in asked["Topics"]] == [
        (stage.secret, ErrorCode.TOPIC_AUTHORIZATION_FAILED, [])
    ]
    assert not stage.of("refused")


async def test_unknown_versions_of_api_versions_get_the_brokers_answer(stage: Stage) -> None:
    """As KIP-511 has it: version 0 of the response, with the versions to choose from."""
    client = await stage.raw()
    client.writer.write(bytes.fromhex("0000000d 0012 0063 00000009 0001 78 00 00"))
    size = int.from_bytes(await client._reader.readexactly(4))
    frame = await client._reader.readexactly(size)
    assert frame[:6] == bytes.fromhex("00000009") + ErrorCode.UNSUPPORTED_VERSION.to_bytes(2)


# --- hostile frames -------------------------------------------------------------------------------

HOSTILE = {
    "negative length": b"\xff\xff\xff\xff",
    "huge length": b"\x7f\xff\xff\xffrest",
    "empty frame": b"\0\0\0\0",
    "short header": b"\0\0\0\4\0\3\0\1",
    "unknown api": b"\0\0\0\n\x7f\xff\0\0\0\0\0\1\xff\xff",
    "unknown version": b"\0\0\0\n\0\3\0\x63\0\0\0\1\xff\xff",
    "http": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "array without end": b"\0\0\0\x0e\0\3\0\1\0\0\0\1\xff\xff\x7f\xff\xff\xff",
    "large request": b"\0\x05\0\0" + b"\0\3\0\1\0\0\0\1\xff\xff" + bytes(5 * 65536 - 10),
    "array of very many": b"\0\0\x75\x40\0\2\0\1\0\0\0\1\xff\xff\0\0\0\0\0\0\x75\x2e"
    + bytes(29998),
    "client id that is no text": b"\0\0\0\x0c\0\3\0\1\0\0\0\1\0\2\xff\xff",
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_bytes_end_their_connection_only(stage: Stage, sent: bytes) -> None:
    client, other = await stage.raw(), await stage.raw()
    client.writer.write(sent)
    assert await client.closed()
    assert len(await stage.until(lambda: stage.of("refused"))) == 1
    assert "ClusterId" in await other.call("Metadata", 4, {})


async def test_a_slow_sender_blocks_nobody(stage: Stage) -> None:
    slow, other = await stage.raw(), await stage.raw()
    slow.writer.write(b"\0\x10")
    await other.call("Metadata", 4, {})
    slow.writer.write(b"\0\0half a frame")
    await other.call("Metadata", 4, {})


async def test_connections_are_capped(broker: Broker, stage: Stage) -> None:
    capped = Stage(broker, Limits(kafka_connections=2))
    first, second = await capped.raw(), await capped.raw()
    await first.call("Metadata", 4, {})
    await second.call("Metadata", 4, {})
    assert await (await capped.raw()).closed()
    assert capped.of("connection", what="refused", detail="too many connections")
    first.writer.close()
    await capped.fact("connection", what="closed")
    third = await capped.raw()
    await third.call("Metadata", 4, {})
    await capped.close()


async def test_a_storm_of_requests_cannot_fill_the_history(broker: Broker) -> None:
    storm = Stage(broker, Limits(history_bytes=5000))
    client = await storm.raw()
    for _ in range(500):
        client.send("ListGroups", 4, {})
    assert 0 < len(await drain(client)) < 500
    assert await (await storm.raw()).closed()
    assert len(storm.of("refused", api="all")) == 1
    assert len(repr(storm.facts)) < 10_000
    await storm.close()


async def test_a_storm_of_requests_leaves_others_their_turn(stage: Stage) -> None:
    storm, other = await stage.raw("storm"), await stage.raw("other")
    await other.call("Metadata", 4, {})
    for _ in range(3000):
        storm.send("ListGroups", 4, {})
    await stage.fact("refused", instance="storm")
    await other.call("Metadata", 4, {})
    assert len(stage.of("refused")) < 3000


async def drain(client: Raw) -> list[int]:
    """The responses until the connection is closed."""
    numbers = []
    try:
        while True:
            numbers.append((await client.receive())[0])
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return numbers


async def test_requests_beyond_the_allowed_flight_wait_and_are_answered(broker: Broker) -> None:
    narrow = Stage(broker, Limits(requests_in_flight=2))
    client = await narrow.raw()
    numbers = [client.send("Metadata", 4, {}) for _ in range(50)]
    assert [(await client.receive())[0] for _ in numbers] == numbers
    await narrow.close()


async def test_attach_twice_or_at_an_unknown_port(stage: Stage) -> None:
    await stage.raw("app")
    with pytest.raises(ValueError, match="attached already"):
        await stage.gateway.attach("app", {})
    with pytest.raises(ValueError, match="nothing to serve at"):
        await stage.gateway.attach("other", {5432: None})


async def test_a_producer_without_acknowledgements_is_recorded_as_unknown(stage: Stage) -> None:
    client = await stage.raw()
    client.send("Produce", 9, produce(stage, batch(3), acks=0))
    number = client.send("Metadata", 4, {})
    assert (await client.receive())[0] == number
    assert stage.of("produced", outcome="unknown", base_offset=None, count=3)


async def test_produced_records_have_their_place(stage: Stage) -> None:
    client = await stage.raw()
    await client.call("Produce", 9, produce(stage, batch(2)))
    await client.call("Produce", 9, produce(stage, batch(1)))
    await client.call("Produce", 9, produce(stage, batch(1)[:-1] + b"?"))  # its checksum is wrong
    told = [(f["base_offset"], f["count"], f["outcome"]) for f in stage.of("produced")]
    assert told == [(0, 2, "accepted"), (2, 1, "accepted"), (None, 1, "rejected")]


def produce(stage: Stage, records: bytes, acks: int = -1) -> dict:
    partitions = [{"Index": 0, "Records": records}]
    return {
        "Acks": acks,
        "TimeoutMs": 5000,
        "TopicData": [{"Name": stage.out, "PartitionData": partitions}],
    }
