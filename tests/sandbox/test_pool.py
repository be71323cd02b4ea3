import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox import broker, pool
from sandbox.backing import Backing
from sandbox.broker import Broker
from sandbox.home import home
from sandbox.pool import Pool
from sandbox.postgres import DatabaseServer, database_server
from sandbox.process import SandboxError
from tests.sandbox.waiting import freeze, until

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("own_state")]

PARTS = pytest.mark.parametrize("part", ["broker", "databases"])


@pytest.fixture
async def started(monkeypatch) -> AsyncIterator[list[Backing]]:
    """Every backing that was started during the test, in order."""
    backings: list[Backing] = []
    start = Backing.start

    async def noted() -> Backing:
        backings.append(await start())
        return backings[-1]

    monkeypatch.setattr(Backing, "start", noted)
    yield backings
    assert not any(service.alive for one in backings for service in one.services)
    assert not list((home().state / "scratch").iterdir())


@pytest.fixture
async def filled(started: list[Backing]) -> AsyncIterator[Pool]:
    lender = Pool()
    await lender.start()
    await until(lambda: lender.warm == 1)
    yield lender
    await lender.close()


async def test_what_is_lent_answers_and_is_destroyed_afterwards(filled: Pool):
    async with filled.lend() as lent:
        assert await lent.answers(within=5)
    assert not lent.alive


async def test_no_backing_serves_two(filled: Pool, started: list[Backing]):
    async with filled.lend() as first, filled.lend() as second:
        assert first is not second
    async with filled.lend() as third:
        assert third not in (first, second)


async def test_what_is_warm_is_lent_and_replaced(filled: Pool, started: list[Backing]):
    async with filled.lend() as lent:
        assert lent is started[0]
        await until(lambda: len(started) == 2)


async def test_without_refills_the_next_is_started_when_somebody_waits_for_it(
    started: list[Backing],
):
    lender = Pool(refills=False)
    await lender.start()
    async with lender.lend() as first:
        assert await first.answers(within=5)
        assert started == [first] and not lender.warm
        async with lender.lend() as second:
            assert started == [first, second]
    await lender.close()


async def test_an_error_in_the_block_destroys_what_is_lent(filled: Pool):
    with pytest.raises(ZeroDivisionError):
        async with filled.lend() as lent:
            raise ZeroDivisionError
    assert not lent.alive


@PARTS
async def test_a_warm_one_that_is_killed_is_replaced_unasked(
    filled: Pool, started: list[Backing], part: str
):
    os.kill(getattr(started[0], part).pid, signal.SIGKILL)
    await until(lambda: len(started) == 2)
    async with filled.lend() as lent:
        assert lent is started[1]


@PARTS
async def test_one_killed_just_now_is_not_lent(filled: Pool, started: list[Backing], part: str):
    os.kill(getattr(started[0], part).pid, signal.SIGKILL)
    async with filled.lend() as lent:
        assert lent is not started[0]
        assert await lent.answers(within=5)


@PARTS
async def test_a_frozen_one_is_not_lent(
    monkeypatch, filled: Pool, started: list[Backing], part: str
):
    monkeypatch.setattr(pool, "ANSWER_TIMEOUT", 0.5)
    monkeypatch.setattr(database_server, "QUIT_TIMEOUT", 0.5)
    await freeze(getattr(started[0], part).pid)
    async with filled.lend() as lent:
        assert lent is not started[0]
    assert not started[0].alive


async def test_a_borrower_who_gives_up_does_not_block_the_next(
    filled: Pool, started: list[Backing]
):
    await freeze(started[0].broker.pid)  # so that he is still being served when he gives up
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), filled.lend():
            pass
    async with filled.lend() as lent:
        assert lent is started[1]


async def test_a_closed_pool_leaves_nothing(started: list[Backing]):
    lender = Pool(size=2)
    await lender.start()
    await until(lambda: lender.warm == 2)
    await lender.close()


async def test_a_pool_closed_while_it_destroys_a_dead_one_leaves_nothing(
    filled: Pool, started: list[Backing]
):
    os.kill(started[0].broker.pid, signal.SIGKILL)
    await until(lambda: not filled.warm)  # it is being destroyed
    await filled.close()


@pytest.mark.parametrize("kind", ["broker", "database"])
async def test_a_pool_closed_while_it_starts_leaves_nothing(started: list[Backing], kind: str):
    lender = Pool()
    await lender.start()
    await until(lambda: bool(list((home().state / "scratch").glob(f"{kind}-*/log"))))
    await lender.close()


async def test_a_disk_that_was_full_for_a_while_does_not_stop_the_pool(
    monkeypatch, started: list[Backing]
):
    monkeypatch.setattr(pool, "RETRY_AFTER", 0.01)
    failures = [OSError(28, "No space left on device")]
    configure = broker.configure

    def configure_or_fail(*arguments):
        if failures:
            raise failures.pop()
        return configure(*arguments)

    monkeypatch.setattr(broker, "configure", configure_or_fail)
    lender = Pool()
    await lender.start()
    async with lender.lend() as lent:
        assert lent.alive and not failures
    await lender.close()


@pytest.mark.parametrize("module", [broker, database_server])
async def test_when_none_can_be_had_the_error_says_why(monkeypatch, tmp_path: Path, module):
    monkeypatch.setattr(module, "image", lambda: tmp_path / "absent")
    monkeypatch.setattr(pool, "LEND_TIMEOUT", 0.5)
    lender = Pool()
    await lender.start()
    with pytest.raises(SandboxError, match=r"not set up"):
        async with lender.lend():
            pass
    await lender.close()


async def test_a_start_that_is_given_up_is_not_hurried_while_it_cleans_up(monkeypatch):
    cleaned = asyncio.Event()

    async def turns(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def for_ever() -> None:
        await asyncio.Event().wait()

    async def cleans_up() -> None:
        try:
            await for_ever()
        finally:
            await turns(10)  # the broker's start is gone by then, and who waits has heard of it
            cleaned.set()

    monkeypatch.setattr(Broker, "start", for_ever)
    monkeypatch.setattr(DatabaseServer, "start", cleans_up)
    start = asyncio.create_task(Backing.start())
    await turns(3)  # both have begun
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert cleaned.is_set()


@pytest.mark.parametrize("service", [Broker, DatabaseServer])
async def test_a_start_that_fails_is_ended_to_the_end_also_when_cancelled(
    monkeypatch, service: type[Broker | DatabaseServer]
):
    answers, kills = service._first_answer, service._kill_process
    ended: list[Broker | DatabaseServer] = []

    async def fails_then(self) -> None:
        await answers(self)
        raise SandboxError("no")

    async def cancelled_then(self) -> None:
        start.cancel()
        await kills(self)
        ended.append(self)

    monkeypatch.setattr(service, "_first_answer", fails_then)
    monkeypatch.setattr(service, "_kill_process", cancelled_then)
    start = asyncio.ensure_future(service.start())
    with pytest.raises(asyncio.CancelledError):
        await start
    assert [one.alive for one in ended] == [False]
    assert not list((home().state / "scratch").iterdir())
