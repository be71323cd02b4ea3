import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox import broker, pool
from sandbox.broker import Broker
from sandbox.home import home
from sandbox.pool import BrokerPool
from sandbox.process import SandboxError
from tests.sandbox.waiting import freeze, until

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("own_state")]


@pytest.fixture
async def started(monkeypatch) -> AsyncIterator[list[Broker]]:
    """Every broker that was started during the test, in order."""
    brokers: list[Broker] = []
    start = Broker.start

    async def noted() -> Broker:
        brokers.append(await start())
        return brokers[-1]

    monkeypatch.setattr(Broker, "start", noted)
    yield brokers
    assert not any(one.alive for one in brokers)
    assert not list((home().state / "scratch").glob("broker-*"))


@pytest.fixture
async def filled(started: list[Broker]) -> AsyncIterator[BrokerPool]:
    brokers = BrokerPool()
    await brokers.start()
    await until(lambda: brokers.warm == 1)
    yield brokers
    await brokers.close()


async def test_a_lent_broker_answers_and_is_destroyed_afterwards(filled: BrokerPool):
    async with filled.lend() as lent:
        assert await lent.answers(within=5)
    assert not lent.alive


async def test_no_broker_serves_two(filled: BrokerPool, started: list[Broker]):
    async with filled.lend() as first, filled.lend() as second:
        assert first is not second
    async with filled.lend() as third:
        assert third not in (first, second)


async def test_the_warm_broker_is_lent_and_replaced(filled: BrokerPool, started: list[Broker]):
    async with filled.lend() as lent:
        assert lent is started[0]
        await until(lambda: len(started) == 2)


async def test_an_error_in_the_block_destroys_the_broker(filled: BrokerPool):
    with pytest.raises(ZeroDivisionError):
        async with filled.lend() as lent:
            raise ZeroDivisionError
    assert not lent.alive


async def test_a_killed_warm_broker_is_replaced_unasked(filled: BrokerPool, started: list[Broker]):
    os.kill(started[0].pid, signal.SIGKILL)
    await until(lambda: len(started) == 2)
    async with filled.lend() as lent:
        assert lent is started[1]


async def test_a_broker_killed_just_now_is_not_lent(filled: BrokerPool, started: list[Broker]):
    os.kill(started[0].pid, signal.SIGKILL)
    async with filled.lend() as lent:
        assert lent is not started[0]
        assert await lent.answers(within=5)


async def test_a_frozen_broker_is_not_lent(monkeypatch, filled: BrokerPool, started: list[Broker]):
    monkeypatch.setattr(pool, "ANSWER_TIMEOUT", 0.5)
    await freeze(started[0].pid)
    async with filled.lend() as lent:
        assert lent is not started[0]
    assert not started[0].alive


async def test_a_borrower_who_gives_up_does_not_block_the_next(
    filled: BrokerPool, started: list[Broker]
):
    await freeze(started[0].pid)  # so that he is still being served when he gives up
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), filled.lend():
            pass
    async with filled.lend() as lent:
        assert lent is started[1]


async def test_a_closed_pool_leaves_nothing(started: list[Broker]):
    brokers = BrokerPool(size=2)
    await brokers.start()
    await until(lambda: brokers.warm == 2)
    await brokers.close()


async def test_a_pool_closed_while_it_starts_leaves_nothing(started: list[Broker]):
    brokers = BrokerPool()
    await brokers.start()
    await until(lambda: bool(list((home().state / "scratch").glob("broker-*/log"))))
    await brokers.close()


async def test_a_disk_that_was_full_for_a_while_does_not_stop_the_pool(
    monkeypatch, started: list[Broker]
):
    monkeypatch.setattr(pool, "RETRY_AFTER", 0.01)
    failures = [OSError(28, "No space left on device")]
    configure = broker.configure

    def configure_or_fail(*arguments):
        if failures:
            raise failures.pop()
        return configure(*arguments)

    monkeypatch.setattr(broker, "configure", configure_or_fail)
    brokers = BrokerPool()
    await brokers.start()
    async with brokers.lend() as lent:
        assert lent.alive and not failures
    await brokers.close()


async def test_when_none_can_be_had_the_error_says_why(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(broker, "image", lambda: tmp_path / "absent")
    monkeypatch.setattr(pool, "LEND_TIMEOUT", 0.5)
    brokers = BrokerPool()
    await brokers.start()
    with pytest.raises(SandboxError, match=r"not set up"):
        async with brokers.lend():
            pass
    await brokers.close()
