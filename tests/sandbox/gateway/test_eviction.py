"""Ending a group member's session at once, whatever became of its program."""

import signal

import pytest

from tests.sandbox.gateway.stage import PARTITIONS, Stage

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

PROTOCOLS = ["classic", "consumer"]
# What librdkafka reports of a commit by a member that the group has forgotten.
FENCED = ("failed UNKNOWN_MEMBER_ID", "failed STALE_MEMBER_EPOCH", "failed ILLEGAL_GENERATION")


def everything(stage: Stage) -> list[list[object]]:
    return [[stage.topic, number] for number in range(PARTITIONS)]


async def owner(stage: Stage, instance: str, **env: str) -> None:
    """Start a program and return once it owns all partitions."""
    await stage.start(instance, "confluent", **env)
    await stage.fact("assigned", instance=instance, partitions=everything(stage))


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_killed_members_partitions_are_free_at_once(
    stage: Stage, protocol: str, static: bool
) -> None:
    """The session timeout is 45 s: without eviction this test would wait that long."""
    identity = {"STATIC_ID": "one"} if static else {}
    await owner(stage, "a", PROTOCOL=protocol, **identity)
    await stage.boxes["a"].kill()
    await stage.gateway.detach("a")
    await stage.gateway.evict("a")
    await stage.gateway.evict("a")
    left = stage.of("left", instance="a")
    assert [(fact["by"], fact["group"]) for fact in left] == [("grader", stage.group)]
    await owner(stage, "b", PROTOCOL=protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_frozen_member_wakes_as_a_zombie(stage: Stage, protocol: str) -> None:
    hold = stage.gateway.fault("OffsetCommit", instance="a").hold()
    await owner(stage, "a", PROTOCOL=protocol)
    await stage.send(1)
    await hold.wait_applied()
    await stage.boxes["a"].freeze()
    await stage.gateway.evict("a")
    await owner(stage, "b", PROTOCOL=protocol)
    await stage.fact("commit", instance="b", offset=1, outcome="accepted")
    await stage.boxes["a"].thaw()
    hold.release()
    rejected = await stage.fact("commit", instance="a", outcome="rejected")
    assert f"failed {rejected['error']}" in FENCED
    await stage.until(lambda: any(who == "a" and line in FENCED for who, line in stage.lines))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_member_that_left_is_not_evicted(stage: Stage, protocol: str) -> None:
    await owner(stage, "a", PROTOCOL=protocol)
    stage.boxes["a"].signal(signal.SIGTERM)
    await stage.fact("left", instance="a", by="program")
    await stage.gateway.evict("a")
    assert len(stage.of("left")) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_static_member_that_closes_has_not_left(stage: Stage, protocol: str) -> None:
    """It keeps its partitions from others, as it would over a restart."""
    await owner(stage, "a", PROTOCOL=protocol, STATIC_ID="one")
    stage.boxes["a"].signal(signal.SIGTERM)
    await stage.boxes["a"].wait()
    await stage.gateway.evict("a")
    assert [fact["by"] for fact in stage.of("left")] == ["grader"]


async def test_a_member_id_is_known_before_the_group_takes_it(stage: Stage) -> None:
    """A program may die between the two JoinGroup requests of its first join (KIP-394)."""
    client = await stage.raw()
    join = {"GroupId": stage.group, "SessionTimeoutMs": 45000, "RebalanceTimeoutMs": 60000}
    join |= {"ProtocolType": "consumer", "Protocols": [{"Name": "range"}]}
    assert (await client.call("JoinGroup", 5, join))["MemberId"]
    client.writer.close()
    await stage.gateway.evict("raw")
    assert len(stage.of("left", by="grader")) == 1
    assert not stage.of("joined")


async def test_nobody_to_evict(stage: Stage) -> None:
    await stage.gateway.evict("never seen")
    assert not stage.facts
