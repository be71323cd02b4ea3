import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from sandbox import assets, broker, daemon
from sandbox.broker import Broker
from sandbox.gateway.gateway import kafka_codec
from sandbox.home import home
from sandbox.process import Identity, SandboxError, service_user, sweep
from tests.sandbox.gateway.stage import Raw
from tests.sandbox.waiting import freeze, until

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("own_state")]


@pytest.fixture
async def running() -> AsyncIterator[Broker]:
    running = await Broker.start()
    yield running
    await running.kill()


def client(running: Broker, **more: object) -> dict[str, object]:
    return {"bootstrap.servers": running.bootstrap, "log_level": 0, **more}


def create_topic(running: Broker, name: str) -> None:
    with AdminClient(client(running)) as admin:
        admin.create_topics([NewTopic(name, 1)])[name].result(10)


def consume_one(running: Broker, topic: str, **more: object) -> bytes:
    settings = client(running, **{"group.id": "g", "auto.offset.reset": "earliest"}, **more)
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    (message,) = consumer.consume(1, 20)
    consumer.commit(asynchronous=False)
    consumer.close()
    return message.value()


def folders() -> list[str]:
    return [path.name for path in (home().state / "scratch").glob("broker-*")]


def owner_of(path: Path) -> str:
    return path.owner()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_records_come_back_in_both_group_protocols(running: Broker, protocol: str):
    create_topic(running, "letters")
    producer = Producer(client(running))
    producer.produce("letters", b"a")
    producer.flush(10)
    assert consume_one(running, "letters", **{"group.protocol": protocol}) == b"a"


async def test_a_transaction_commits_at_once(running: Broker):
    create_topic(running, "letters")
    producer = Producer(client(running, **{"transactional.id": "t"}))
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce("letters", b"a")
    producer.commit_transaction(10)
    assert consume_one(running, "letters", **{"isolation.level": "read_committed"}) == b"a"


async def test_programs_are_told_the_address_of_the_door(running: Broker):
    # Asked in the protocol: a client would go on to the address that it was told.
    raw = Raw(kafka_codec(), *await asyncio.open_connection(*running.app_address))
    told = await raw.call("Metadata", 12, {"Topics": None})
    raw.writer.close()
    assert [(b["Host"], b["Port"]) for b in told["Brokers"]] == [("127.0.0.1", 9092)]


async def test_it_says_its_version(running: Broker):
    assert running.version == assets.kafka_version() == "4.4.0"


async def test_a_topic_that_nobody_made_is_not_made_by_asking(running: Broker):
    with AdminClient(client(running)) as admin:
        admin.list_topics("misspelt", timeout=10)
        assert "misspelt" not in admin.list_topics(timeout=10).topics


async def test_a_transaction_may_not_stay_open_for_long(running: Broker):
    settings = {"transactional.id": "t", "transaction.timeout.ms": 120_000}
    with pytest.raises(KafkaException, match="timeout"):
        Producer(client(running, **settings)).init_transactions(10)


async def test_two_brokers_share_nothing(running: Broker):
    other = await Broker.start()
    try:
        create_topic(running, "mine")
        with AdminClient(client(other)) as admin:
            topics = set(admin.list_topics(timeout=10).topics)
        assert topics <= {"__consumer_offsets", "__transaction_state"}
    finally:
        await other.kill()


async def test_a_new_broker_remembers_no_group(running: Broker):
    with AdminClient(client(running)) as admin:
        assert admin.list_consumer_groups().result(10).valid == []


@pytest.mark.root
async def test_it_runs_as_the_service_user(running: Broker):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    process = Path("/proc", str(running.pid))
    assert owner_of(process) == service_user()


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill])
async def test_nothing_is_left_of_an_ended_broker(end):
    running = await Broker.start()
    assert len(folders()) == 1
    await end(running)
    assert not running.alive and not folders()


async def test_a_broker_killed_by_others_is_known_to_be_dead(running: Broker):
    os.kill(running.pid, signal.SIGKILL)
    await running.ended()
    assert not running.alive
    assert not await running.answers(within=1)


async def test_a_frozen_broker_is_alive_but_does_not_answer(running: Broker):
    await freeze(running.pid)
    assert running.alive
    assert not await running.answers(within=0.3)
    os.kill(running.pid, signal.SIGCONT)
    assert await running.answers(within=10)


def test_ports_are_never_drawn_twice(monkeypatch):
    draws = [5, 5, 5, 6, 7]
    monkeypatch.setattr(secrets, "randbelow", lambda bound: draws.pop(0))
    assert sorted(daemon.free_ports(3)) == [20005, 20006, 20007]


async def test_a_port_taken_meanwhile_is_left_for_another(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        choices = [[taken.getsockname()[1], *daemon.free_ports(2)], daemon.free_ports(3)]
        chosen = list(choices)
        monkeypatch.setattr(broker, "free_ports", lambda count: chosen.pop(0))
        running = await Broker.start()
        assert running.bootstrap == f"127.0.0.1:{choices[1][0]}"
        await running.kill()
    assert not folders()


async def test_a_broker_that_cannot_start_says_why(open_folder: Path):
    with pytest.raises(SandboxError, match=r"(?s)ended with code 1 .*meta\.properties"):
        await Broker.start_from(open_folder)
    assert not folders()


async def test_without_set_up_the_error_names_the_command(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(broker, "image", lambda: tmp_path / "absent")
    with pytest.raises(SandboxError, match="offsetzero setup"):
        await Broker.start()


async def test_a_cancelled_start_leaves_nothing():
    starting = asyncio.create_task(Broker.start())
    await until(lambda: bool(list((home().state / "scratch").glob("broker-*/log"))))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not folders()


OWNER = """
import asyncio
from sandbox.broker import Broker
async def main():
    running = await Broker.start()
    print(running.pid, flush=True)
    await running.ended()
asyncio.run(main())
"""


async def test_a_broker_does_not_outlive_its_killed_owner():
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, stdout=subprocess.PIPE
    )
    orphan = Identity.of(int(await owner.stdout.readline()))
    assert orphan.alive
    owner.kill()
    await owner.wait()
    await until(lambda: not orphan.alive)
    assert len(folders()) == 1
    sweep(home())
    assert not folders()
