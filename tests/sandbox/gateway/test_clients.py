"""What real clients do through the gateway, told by the facts it records."""

import signal

import pytest

from sandbox.broker import Broker
from tests.sandbox.gateway.stage import OTHER_PORT, PARTITIONS, Stage

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

CLIENTS = [
    ("confluent", "classic", "OffsetCommit"),
    ("confluent", "consumer", "OffsetCommit"),
    ("kafka_python", "classic", "OffsetCommit"),
    ("aiokafka_transactions", "classic", "TxnOffsetCommit"),
]


@pytest.mark.parametrize(("program", "protocol", "api"), CLIENTS)
async def test_the_life_of_a_consumer(stage: Stage, program: str, protocol: str, api: str) -> None:
    await stage.send(3, partition=0)
    await stage.send(2, partition=2)
    box = await stage.start("app", program, PROTOCOL=protocol)
    await stage.fact("commit", partition=0, offset=3)
    await stage.fact("commit", partition=2, offset=2)
    box.signal(signal.SIGTERM)
    await stage.line("app", "closed")
    await stage.until(
        lambda: (
            len(stage.of("connection", what="opened")) == len(stage.of("connection", what="closed"))
        )
    )

    joined = stage.of("joined", instance="app")[-1]
    assert (joined["group"], joined["protocol"]) == (stage.group, protocol)
    everything = [[stage.topic, number] for number in range(PARTITIONS)]
    assigned = stage.of("assigned", member=joined["member"], partitions=everything)[-1]
    assert assigned["generation"] == joined["generation"]
    assert fetched(stage, 0) == {0, 1, 2} and fetched(stage, 2) == {0, 1}
    assert {fact["outcome"] for fact in stage.of("commit")} == {"accepted"}
    assert {fact["api"] for fact in stage.of("commit")} == {api}
    assert (await stage.committed(0), await stage.committed(2)) == (3, 2)
    assert stage.of("left", member=joined["member"], by="program")
    assert not stage.of("refused")
    if program != "confluent":
        produced = stage.of("produced", topic=stage.out, outcome="accepted")
        assert sum(fact["count"] for fact in produced) == 5
        assert produced[0]["base_offset"] == 0


def fetched(stage: Stage, partition: int) -> set[int]:
    facts = stage.of("fetched", topic=stage.topic, partition=partition)
    return {offset for fact in facts for offset in range(fact["first"], fact["last"] + 1)}


async def test_only_what_a_restarted_program_asks_for_counts_as_fetched(stage: Stage) -> None:
    """The broker sends a batch from its start, though the program reads on in its middle."""
    await stage.send(10)
    hold = stage.gateway.fault("OffsetCommit", nth=5).hold()
    box = await stage.start("app", "confluent", PROTOCOL="classic")
    await hold.wait_applied()
    await box.kill()
    hold.drop()
    await stage.gateway.detach("app")
    await stage.gateway.evict("app")
    stage.facts.clear()
    await stage.start("app", "confluent", PROTOCOL="classic")
    await stage.fact("commit", offset=10)
    assert fetched(stage, 0) == set(range(4, 10))


@pytest.mark.parametrize("program", ["confluent", "kafka_python", "aiokafka_transactions"])
async def test_a_topic_led_by_another_broker_is_held_alone(broker: Broker, program: str) -> None:
    """Records of one topic come late, those of the other in time, though one consumer reads both:
    they come over different connections, as from two brokers."""
    stage = Stage(broker, late_led_at=OTHER_PORT)
    await stage.create_topics()
    held = stage.gateway.fault("Fetch", topic=stage.late, times=None).hold()
    await stage.start("app", program, PROTOCOL="classic", TOPIC=f"{stage.topic},{stage.late}")
    await held.wait_applied()
    await stage.send(2, topic=stage.late)
    await stage.send(3)
    await stage.fact("commit", topic=stage.topic, offset=3)
    assert held.held and not stage.of("fetched", topic=stage.late)
    held.release()
    await stage.fact("commit", topic=stage.late, offset=2)
    await stage.close()
    assert stage.gateway.failure is None


@pytest.mark.parametrize(
    "program",
    [
        "confluent",
        "kafka_python",
        "aiokafka_transactions",
        pytest.param("kafkajs", marks=pytest.mark.long),
    ],
)
async def test_a_topic_lags_from_some_moment_on(broker: Broker, program: str) -> None:
    """Also for a client that has named its topics once and for all, in a fetch session; and it
    remains a member of its group meanwhile."""
    stage = Stage(broker, late_led_at=OTHER_PORT)
    await stage.create_topics()
    await stage.start("app", program, PROTOCOL="classic", TOPIC=f"{stage.topic},{stage.late}")
    await stage.send(2, topic=stage.late)
    await stage.fact("commit", topic=stage.late, offset=2)
    await stage.gateway.fault("Fetch", nth=6).delay(0).wait_applied()  # each topic idles
    held = stage.gateway.fault("Fetch", topic=stage.late, times=None).hold()
    await held.wait_applied()
    await stage.send(1, topic=stage.late)
    beats = stage.gateway.fault("Heartbeat", nth=3).delay(0)
    await stage.send(3)
    await stage.fact("commit", topic=stage.topic, offset=3)
    await beats.wait_applied()
    assert held.held and not stage.of("fetched", topic=stage.late, last=2)
    held.release()
    await stage.fact("commit", topic=stage.late, offset=3)
    assert not stage.of("left")
    await stage.close()
    assert stage.gateway.failure is None
