"""Doors, facts about records, and the gateway's own troubles."""

import asyncio
import socket

import pytest

from sandbox.broker import Broker
from sandbox.gateway import BrokerUnreachable
from tests.sandbox.gateway.batch import batch
from tests.sandbox.gateway.stage import Raw, Stage

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]


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
    wrong = bytearray(batch(1))
    wrong[17] ^= 1  # in its checksum
    await client.call("Produce", 9, produce(stage, bytes(wrong)))
    told = [(f["base_offset"], f["count"], f["outcome"]) for f in stage.of("produced")]
    assert told == [(0, 2, "accepted"), (2, 1, "accepted"), (None, 1, "rejected")]


def produce(stage: Stage, records: bytes, acks: int = -1) -> dict:
    partitions = [{"Index": 0, "Records": records}]
    return {
        "Acks": acks,
        "TimeoutMs": 5000,
        "TopicData": [{"Name": stage.out, "PartitionData": partitions}],
    }


class Session:
    """A fetch session (KIP-227) by topic id, as Java clients keep one."""

    def __init__(self, client: Raw, topic_id: bytes) -> None:
        self._client = client
        self._topic_id = topic_id
        self._id = self._epoch = 0

    async def fetch(self, *offsets: int, forget: bool = False) -> None:
        """Fetch partition 0 from the offset given, or from where the session stands."""
        partitions = [
            {"Partition": 0, "FetchOffset": o, "PartitionMaxBytes": 9999} for o in offsets
        ]
        topics = [{"TopicId": self._topic_id, "Partitions": partitions}] if partitions else []
        forgotten = [{"TopicId": self._topic_id, "Partitions": [0]}] if forget else []
        body = {"MaxWaitMs": 0, "SessionId": self._id, "SessionEpoch": self._epoch}
        body |= {"Topics": topics, "ForgottenTopicsData": forgotten}
        answer = await self._client.call("Fetch", 17, body)
        assert answer["ErrorCode"] == 0
        self._id, self._epoch = answer["SessionId"], self._epoch + 1


async def test_a_client_may_take_us_for_the_broker_that_leads_a_topic(stage: Stage) -> None:
    """KIP-1242: a broker sends away whoever names another node."""
    client = await stage.raw()
    metadata = await client.call("Metadata", 12, {"Topics": []})
    named = {"ClientSoftwareName": "test", "ClientSoftwareVersion": "1", "NodeId": 9093}
    answer = await client.call("ApiVersions", 5, named | {"ClusterId": metadata["ClusterId"]})
    assert (answer["ErrorCode"], bool(answer["ApiKeys"])) == (0, True)


async def open_session(stage: Stage) -> Session:
    client = await stage.raw()
    metadata = await client.call("Metadata", 12, {"Topics": [{"Name": stage.topic}]})
    return Session(client, metadata["Topics"][0]["TopicId"])


async def test_a_record_is_handed_on_when_its_writer_has_noted_it(stage: Stage) -> None:
    session = await open_session(stage)
    await session.fetch(0)  # nothing is there, and nothing is waited for
    stage.all_is_noted.clear()
    await stage.send(1)
    fetch = asyncio.create_task(session.fetch(0))
    assert await asyncio.wait([fetch], timeout=0.3) == (set(), {fetch})
    assert not stage.of("fetched")
    stage.all_is_noted.set()
    await fetch
    assert [f["last"] for f in stage.of("fetched")] == [0]


async def test_fetched_facts_follow_the_positions_of_a_session(stage: Stage) -> None:
    await stage.send(5)
    session = await open_session(stage)
    await session.fetch(0)
    await session.fetch(2)
    await session.fetch()
    await session.fetch(forget=True)
    told = [(f["topic"], f["partition"], f["first"], f["last"]) for f in stage.of("fetched")]
    assert told == [(stage.topic, 0, first, 4) for first in (0, 2, 2)]


async def test_without_a_broker(broker: Broker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = nobody.getsockname()
    alone = Stage(broker, upstream=address)
    assert await (await alone.raw()).closed()
    assert alone.of("connection", what="refused")
    await alone.gateway.evict("raw")
    with pytest.raises(BrokerUnreachable, match="Metadata"):
        await alone.gateway._link.call("Metadata", 12, {})
    await alone.close()
    assert alone.gateway.failure is None


async def test_an_error_of_ours_is_told_as_a_failure_of_the_gateway(broker: Broker) -> None:
    stage = Stage(broker)
    client = await stage.raw()
    stage.gateway.fault("Metadata", where=lambda body: body["Misspelt"]).cut()
    client.send("Metadata", 4, {})
    assert await client.closed()
    assert isinstance(stage.gateway.failure, KeyError)
    await stage.close()
