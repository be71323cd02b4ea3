"""One worker's way with a run, on a real database, with a grader that does what the test says."""

import asyncio
import itertools
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import func, select, text

from webapp.grading import judge as judge_module
from webapp.grading import leases
from webapp.grading.judge import Judge
from webapp.runs import services
from webapp.runs.models import Run, RunEvent, State, Verdict

PASS = {"verdict": "PASS", "score": 1.0, "checks": []}


class Scripted:
    """A grader that waits to be let on, then passes or raises."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.ended = False

    async def __call__(self, lease, on_event, history):
        on_event({"type": "story", "scenario": "steady", "text": f"try {lease.tries}"})
        self.begun.set()
        try:
            await self.go_on.wait()
        finally:
            self.ended = True
        if self.failure:
            raise self.failure
        return PASS


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(leases, "EXTEND_EVERY_S", 0.05)
    monkeypatch.setattr(judge_module, "SWEEP_EVERY_S", 0.05)


def state(committed, run_id):
    with committed.sessions() as db:
        run = db.get(Run, run_id)
        return run.state, run.verdict


async def judged(committed, grader, run_id):
    """Begin to judge; returns the task once the grader is at work."""
    task = asyncio.create_task(Judge(committed.sessions, grader, "test").judge(run_id))
    await asyncio.wait_for(grader.begun.wait(), 20)
    return task


async def test_a_run_is_judged_and_told(committed):
    run_id, grader = committed.run(), Scripted()
    task = await judged(committed, grader, run_id)
    assert state(committed, run_id) == (State.RUNNING, None)
    grader.go_on.set()
    await task
    assert state(committed, run_id) == (State.DONE, "PASS")
    with committed.sessions() as db:
        kinds = db.scalars(select(RunEvent.kind).order_by(RunEvent.seq)).all()
    assert kinds == ["state", "state", "story", "state"]


async def test_what_is_not_queued_is_left_alone(committed):
    run_id, grader = committed.run(), Scripted()
    task = await judged(committed, grader, run_id)
    second = Scripted()
    await Judge(committed.sessions, second, "second").judge(run_id)
    assert not second.begun.is_set()
    grader.go_on.set()
    await task


async def test_a_grader_that_fails_is_our_fault(committed):
    run_id = committed.run()
    for _ in range(leases.MAX_TRIES):
        grader = Scripted(RuntimeError("no broker"))
        grader.go_on.set()
        await Judge(committed.sessions, grader, "test").judge(run_id)
    assert state(committed, run_id) == (State.FAILED_INTERNAL, None)


async def test_a_grader_that_hangs_is_ended(committed, monkeypatch):
    monkeypatch.setattr(judge_module, "LONGEST_S", 0.05)
    run_id, grader = committed.run(), Scripted()
    await Judge(committed.sessions, grader, "test").judge(run_id)
    assert grader.ended
    assert state(committed, run_id) == (State.QUEUED, None)


async def test_a_worker_that_is_stopped_hands_its_run_back(committed):
    """I9"""
    run_id, grader = committed.run(), Scripted()
    task = await judged(committed, grader, run_id)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert grader.ended
    assert state(committed, run_id) == (State.QUEUED, None)
    again = Scripted()
    again.go_on.set()
    await Judge(committed.sessions, again, "next").judge(run_id)
    assert state(committed, run_id) == (State.DONE, "PASS")


async def test_a_run_that_the_candidate_stops_is_let_go(committed, quick):
    run_id, grader = committed.run(), Scripted()
    task = await judged(committed, grader, run_id)
    with committed.sessions.begin() as db:
        services.cancel(db, db.get(Run, run_id))
    await asyncio.wait_for(task, 20)
    assert grader.ended
    assert state(committed, run_id) == (State.CANCELLED, None)


async def test_the_lease_is_held_while_grading(committed, quick, monkeypatch):
    """I8: longer than the lease, and no sweeper takes it."""
    monkeypatch.setattr(leases, "LEASE", leases.timedelta(seconds=0.5))
    run_id, grader = committed.run(), Scripted()
    task = await judged(committed, grader, run_id)
    sweeper = asyncio.create_task(Judge(committed.sessions, grader, "sweeper").sweep())
    await asyncio.sleep(1.5)  # three leases long
    grader.go_on.set()
    await task
    sweeper.cancel()
    assert state(committed, run_id) == (State.DONE, "PASS")


async def test_an_absent_database_costs_patience_not_the_verdict(committed, monkeypatch):
    monkeypatch.setattr(judge_module, "RETRY_S", 0.05)
    run_id, grader = committed.run(), Scripted()
    task = await judged(committed, grader, run_id)
    engine = committed.sessions.kw["bind"]
    with engine.connect() as connection:  # every pooled connection breaks
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    grader.go_on.set()
    await task
    assert state(committed, run_id) == (State.DONE, "PASS")


class Died(Exception):
    """What a dead worker's transactions raise."""


class Mortal:
    """The sessions of a worker that dies in its n-th transaction: before its commit, or after."""

    def __init__(self, sessions, last: int, moment: str) -> None:
        self._sessions, self._left, self._moment = sessions, last, moment

    @property
    def dead(self) -> bool:
        return self._left <= 0

    @contextmanager
    def begin(self):
        if self.dead:
            raise Died
        self._left -= 1
        if self.dead and self._moment == "before":
            raise Died
        with self._sessions.begin() as db:
            yield db
        if self.dead:
            raise Died


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_worker_may_die_at_any_step(committed, moment):
    """I1, I2: whichever transaction is its last, the next worker finishes, and it counts once."""
    for last in itertools.count(1):
        run_id, mortal = committed.run(), Mortal(committed.sessions, last, moment)
        grader = Scripted()
        grader.go_on.set()
        with suppress(Died):
            await Judge(mortal, grader, "dies").judge(run_id)
        with committed.sessions.begin() as db:
            db.execute(text("UPDATE run SET leased_until = now()"))
            leases.sweep(db)
        await Judge(committed.sessions, grader, "next").judge(run_id)
        assert state(committed, run_id) == (State.DONE, "PASS")
        if not mortal.dead:
            break
    assert last > 3
    with committed.sessions() as db:
        verdicts = db.scalar(select(func.count()).select_from(Verdict))
    assert verdicts == last
