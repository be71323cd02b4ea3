"""What programs may ask, and what they are told when they ask for more."""

import pytest

from sandbox.gateway.errors import ErrorCode
from tests.sandbox.gateway.stage import Stage

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

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
    ("JoinGroup", 5, {"GroupId": "another", "ProtocolType": "consumer"}),
    ("Heartbeat", 4, {"GroupId": "another"}),
    ("LeaveGroup", 4, {"GroupId": "another", "Members": [{"MemberId": "x"}]}),
    ("ConsumerGroupHeartbeat", 0, {"GroupId": "another", "MemberId": "x"}),
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


async def test_a_client_may_look_for_the_coordinator_of_a_group_that_it_never_joins(
    stage: Stage,
) -> None:
    client = await stage.raw()
    answer = await client.call("FindCoordinator", 4, {"CoordinatorKeys": ["another"]})
    assert error_codes(answer) == {0}
    assert not stage.of("refused")


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


async def test_a_probe_for_old_brokers_is_refused_and_held_against_nobody(stage: Stage) -> None:
    """kafka-python sends it when nobody told it the broker's versions in time."""
    client = await stage.raw()
    answer = await client.call("ListGroups", 4, {})
    assert answer["ErrorCode"] == ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    assert answer["Groups"] == []
    assert not stage.of("refused")


async def test_metadata_shows_no_topics_of_others(stage: Stage) -> None:
    client = await stage.raw()
    everything = await client.call("Metadata", 12, {"Topics": None})
    assert {topic["Name"] for topic in everything["Topics"]} == {stage.topic, stage.late, stage.out}
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
