"""Whole gradings of small programs on the real broker, database and boxes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from graders.conditions import committed_past, effects_of, ended, has_left, held
from graders.facts import Effect, Ended, Process
from graders.grade import grade, recheck
from graders.history import History
from graders.instance import Instance
from graders.lab import Lab
from graders.report import Report
from graders.spec import Submission
from sandbox.backing import Backing
from sandbox.pool import Pool
from tests.graders.challenge import a_tale, challenge, payments
from tests.graders.programs import (
    BALANCES_LATER,
    BROKEN_SOMETIMES,
    EVERY_TURN,
    FORGETFUL,
    GOOD,
    SLOW_TO_START,
    TRANSACTIONAL,
    USELESS,
)

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]


async def crash_after_effect(lab: Lab) -> None:
    """Killed after the effects, before the commit. Exposes programs that forget."""
    sent = await lab.send("payments", payments(lab.rng, 6), partition=0)
    commits = lab.commits(times=None).hold()
    app = await lab.start("app")
    await lab.until(effects_of(sent, at_least=1), why="a payment to be booked")
    await app.kill()
    commits.drop()
    await lab.start("app")
    await lab.settle()


async def crash_after_a_later_effect(lab: Lab) -> None:
    """Killed between the last effect and its commit. Exposes programs that forget."""
    first, *more = payments(lab.rng, 4)
    (sent,) = await lab.send("payments", [first], partition=0)
    app = await lab.start("app")
    await lab.until(committed_past(sent), why="the first payment to be committed")
    commits = lab.commits(times=None).hold()
    await lab.reached(held(commits), within=1.0)
    sent_later = await lab.send("payments", more, partition=0)
    await lab.until(effects_of(sent_later, at_least=1), why="a payment to be booked")
    await app.kill()
    commits.drop()
    await lab.start("app")
    await lab.settle()


async def once_more(lab: Lab) -> None:
    """The same again. Exposes nothing new."""
    await a_tale(lab)


async def and_again(lab: Lab) -> None:
    """And again. Exposes nothing new."""
    await a_tale(lab)


class Grader:
    """Grades a program, and keeps what was told, recorded and lent."""

    def __init__(self, pool: Pool, folder: Path) -> None:
        self.pool, self.folder = pool, folder
        self.events: list[dict[str, Any]] = []
        self.backing: Backing | None = None

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Backing]:
        async with self.pool.lend() as self.backing:
            yield self.backing

    def kill(self, part: str, app: Instance) -> None:
        """SIGKILL to the process that is this part of the platform."""
        if part == "box":
            signal.pidfd_send_signal(app._box._launched.bubblewrap.monitor, signal.SIGKILL)
        else:
            killed = self.backing.databases if part == "database" else self.backing.broker
            os.kill(killed.pid, signal.SIGKILL)

    async def __call__(
        self, source: str, *runs: Callable[[Lab], Awaitable[None]], on_event=lambda event: None
    ) -> Report:
        def keep(event: dict[str, Any]) -> None:
            self.events.append(event)
            on_event(event)

        return await grade(
            challenge(*runs),
            Submission({"main.py": source}),
            seed=7,
            pool=self,
            history_dir=self.folder,
            on_event=keep,
        )

    def history(self, name: str) -> History:
        return History.load(self.folder / name)


@pytest.fixture
def grader(pool: Pool, tmp_path: Path) -> Grader:
    return Grader(pool, tmp_path)


async def test_a_good_program_passes_and_the_histories_say_the_same_again(grader: Grader):
    report = await grader(GOOD, a_tale, crash_after_effect)
    assert (report.verdict, report.score) == ("PASS", 1.0), report.data
    (grader.folder / "a_tale.2.jsonl").write_text("left by an earlier run in the same folder")
    again = recheck(grader.folder, challenge(a_tale, crash_after_effect))
    assert again.data == report.data
    states = [
        e["state"] for e in grader.events if e["type"] == "scenario" and e["name"] == "a_tale"
    ]
    assert states == ["waiting", "running", "done"]


async def test_what_is_committed_again_with_every_turn_is_not_held(grader: Grader):
    report = await grader(EVERY_TURN, crash_after_a_later_effect)
    assert report.verdict == "PASS", report.data["headline"]


async def test_balances_that_follow_the_ledger_a_little_later_are_waited_for(grader: Grader):
    report = await grader(BALANCES_LATER, a_tale)
    assert report.verdict == "PASS", report.data["headline"]


@pytest.mark.parametrize("source", [TRANSACTIONAL, TRANSACTIONAL.replace("nal.id", 'nal" ".id')])
async def test_a_program_with_transactions_does_not_fence_itself(grader: Grader, source: str):
    is_known = Submission({"main.py": source}).has_transactions
    report = await grader(source, a_tale, once_more)
    assert report.verdict == "PASS", report.data
    states = [e["state"] for e in grader.events if e["type"] == "scenario"]
    assert states.count("done") == 2
    assert states.count("waiting") == (2 if is_known else 4)
    transactions = grader.history("a_tale.1.jsonl").of(Ended)
    assert transactions and all(each.outcome == "accepted" for each in transactions)


async def test_a_program_may_take_its_time_to_start(grader: Grader):
    report = await grader(SLOW_TO_START, a_tale)
    assert report.verdict == "PASS", report.data["headline"]
    assert report.data["scenarios"][0]["attempts"] == 1


async def test_a_program_that_seemed_hopeless_is_played_on_when_one_story_goes_well(grader: Grader):
    async def starts_badly(lab: Lab) -> None:
        """Its first instance gives up. Exposes nothing."""
        history = grader.folder / f"{lab.scenario.name}.1.jsonl"
        await lab.start("app" if history.exists() else "broken")
        await lab.send("payments", payments(lab.rng, 2), partition=0)
        await lab.settle()

    async def starts_badly_too(lab: Lab) -> None:
        """The same. Exposes nothing."""
        await starts_badly(lab)

    async def is_slow(lab: Lab) -> None:
        """Goes well when the others have ended. Exposes nothing."""
        for other in (starts_badly, starts_badly_too):
            while not (grader.folder / f"{other.__name__}.1.jsonl").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await a_tale(lab)

    report = await grader(BROKEN_SOMETIMES, starts_badly, starts_badly_too, is_slow, once_more)
    assert report.verdict == "WARN", report.data["headline"]
    assert [s["attempts"] for s in report.data["scenarios"]] == [3, 3, 1, 1]
    done = [e["name"] for e in grader.events if e["type"] == "scenario" and e["state"] == "done"]
    assert sorted(done) == ["is_slow", "once_more", "starts_badly", "starts_badly_too"]


async def test_a_forgetful_program_fails_by_its_check_alone(grader: Grader):
    report = await grader(FORGETFUL, crash_after_effect)
    failed = {c["id"] for c in report.data["checks"] if c["verdict"] != "PASS"}
    assert failed == {"EFF-2", "EFF-6"}
    (card,) = [c["evidence"] for c in report.data["checks"] if c["id"] == "EFF-2"]
    assert "After a restart" in card["why"]
    assert any("killed" in row["text"] for row in card["rows"])


GIVEN_UP = {
    "exits at once": "no configuration found",
    "prints for ever": "it printed more than it may",
    "fills its database": "it wrote more into its database than it may",
    "never connects": "never opened a connection to the broker",
    "talks to a wrong host": "never opened a connection to the broker",
}
IDLE = ("never connects", "talks to a wrong host", "ignores its topic")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def idle_reports(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """The reports about programs that are mostly waited for, graded side by side."""

    async def report(kind: str) -> Report:
        runs = (a_tale, once_more, and_again) if kind in GIVEN_UP else (a_tale,)
        return await Grader(pool, tmp_path_factory.mktemp("idle"))(USELESS[kind], *runs)

    return dict(zip(IDLE, await asyncio.gather(*map(report, IDLE)), strict=True))


@pytest.mark.parametrize("kind", [kind for kind in GIVEN_UP if kind not in IDLE])
async def test_a_useless_program_is_given_up_with_its_reason(grader: Grader, kind: str):
    report = await grader(USELESS[kind], a_tale, once_more, and_again)
    is_given_up(report, GIVEN_UP[kind])


@pytest.mark.parametrize("kind", [kind for kind in GIVEN_UP if kind in IDLE])
async def test_a_program_without_kafka_is_given_up(idle_reports: dict[str, Report], kind: str):
    is_given_up(idle_reports[kind], GIVEN_UP[kind])


def is_given_up(report: Report, told: str) -> None:
    verdicts = {c["id"]: c["verdict"] for c in report.data["checks"]}
    assert verdicts.pop("LIV-1") == "FAIL"
    assert set(verdicts.values()) == {"INCONCLUSIVE"}
    assert report.score == 0
    (card,) = [c["evidence"] for c in report.data["checks"] if c["id"] == "LIV-1"]
    assert told in card["second"]["text"]


async def test_a_program_that_reads_nothing_is_tried_twice_and_told_so(
    idle_reports: dict[str, Report],
):
    report = idle_reports["ignores its topic"]
    (card,) = [c["evidence"] for c in report.data["checks"] if c["verdict"] == "FAIL"]
    assert "never fetched a record" in card["second"]["text"]
    assert report.data["scenarios"][0]["attempts"] >= 2  # a busy machine may spoil one


async def test_effects_in_an_open_transaction_are_no_effects(grader: Grader):
    report = await grader(USELESS["leaves a transaction open"], a_tale)
    verdicts = {c["id"]: c["verdict"] for c in report.data["checks"]}
    assert verdicts["EFF-1"] == "FAIL"


async def test_a_syntax_error_is_told_before_anything_is_started(grader: Grader):
    report = await grader("def broken(:\n")
    assert report.verdict == "FAIL"
    assert "main.py, line 1" in report.data["headline"]
    assert list(grader.folder.iterdir()) == []


async def test_a_program_that_ends_by_itself_is_started_again(grader: Grader):
    stumbling = GOOD.replace(
        "    consumer.commit(message",
        "    count = db.execute('select count(*) from processed').fetchone()[0]\n"
        "    if fresh and count == 3:\n"
        "        os._exit(3)\n"
        "    consumer.commit(message",
    )
    report = await grader(stumbling, a_tale)
    assert report.verdict == "PASS", report.data["headline"]
    (exit,) = [p for p in grader.history("a_tale.1.jsonl").of(Process) if p.what == "exited"]
    assert exit.code == 3


async def told_to_stop(lab: Lab) -> None:
    """Told to stop, twice, while the story goes on. Exposes programs that do not."""
    app = await lab.start("app")
    sent = await lab.send("payments", payments(lab.rng, 6))
    await lab.until(effects_of(sent))
    app.tell_to_stop()
    app.tell_to_stop()
    await lab.reached(has_left(app) & ended(app), within=2.0)
    await app.ended_within(0.0)
    app.tell_to_stop()
    await lab.start("app")
    await lab.settle()


def lives(history: History) -> list[str]:
    return [process.what for process in history.of(Process)]


async def test_a_program_that_is_told_to_stop_is_seen_to_its_end(grader: Grader):
    report = await grader(GOOD, told_to_stop)
    assert report.verdict == "PASS", report.data["headline"]
    told = ["started", "terminated", "terminated", "stopped", "started", "killed"]
    assert lives(grader.history("told_to_stop.1.jsonl")) == told


async def test_a_program_that_does_not_stop_is_killed_and_must_do_so_twice(grader: Grader):
    report = await grader(GOOD.replace("SIGTERM, stop", "SIGTERM, signal.SIG_IGN"), told_to_stop)
    failed = [check["id"] for check in report.data["checks"] if check["verdict"] == "FAIL"]
    assert failed == ["SHU-6"]
    assert report.data["scenarios"][0]["attempts"] >= 2  # a busy machine may spoil one
    told = ["started", "terminated", "terminated", "overdue", "killed", "started", "killed"]
    assert lives(grader.history("told_to_stop.1.jsonl")) == told


@pytest.mark.parametrize("part", ["broker", "database", "box"])
async def test_what_dies_under_the_program_is_not_its_fault(grader: Grader, part: str):
    """A part of the platform is killed at the first effect; the attempt is repeated."""
    killed = []

    async def killed_once(lab: Lab) -> None:
        """Something of ours dies. Exposes graders that blame the program."""
        app = await lab.start("app")
        sent = await lab.send("payments", payments(lab.rng, 6))
        await lab.until(effects_of(sent, at_least=1))
        if not killed:
            killed.append(part)
            grader.kill(part, app)
        await lab.settle()

    report = await grader(GOOD, killed_once)
    assert report.verdict == "PASS", report.data["headline"]
    assert report.data["scenarios"][0]["attempts"] >= 2  # a busy machine may spoil one


async def test_a_grading_that_is_called_off_leaves_nothing_running(grader: Grader):
    started = asyncio.Event()

    def watch(event: dict[str, Any]) -> None:
        if event["type"] == "story":
            started.set()

    task = asyncio.create_task(grader(GOOD, a_tale, on_event=watch))
    await asyncio.wait_for(started.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    names = {t.get_name() for t in asyncio.all_tasks()}
    assert not any(name.startswith(("box", "life")) for name in names)


async def test_effects_are_seen_while_the_program_runs(grader: Grader):
    await grader(GOOD, a_tale)
    history = grader.history("a_tale.1.jsonl")
    last_effect = history.last(Effect)
    killed = [p for p in history.of(Process) if p.what == "killed"]
    assert last_effect.n < killed[-1].n
    assert all(effect.instance == "app" for effect in history.of(Effect))
