"""Grade a submission: play the scenarios, judge the histories, report.

Three scenarios of a submission are played side by side, each with topics, a group and a database of
its own, on the same broker and PostgreSQL server. A transactional id is the broker's, so a program
with Kafka transactions would fence itself from one scenario to the other: it gets three of both. It
is known by the setting in its source; one that hid it is played anew once it is seen. Every
attempt's history is saved, and `recheck` makes the same report from the saved histories alone.
"""

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from graders import report
from graders.clock import SLOWEST
from graders.facts import Producer
from graders.history import History, Recorder
from graders.kafka import Kafka
from graders.lab import Lab, Program
from graders.report import Report
from graders.spec import Challenge, Scenario, Submission
from graders.stage import open_lab
from graders.trouble import NotExercised
from graders.verdict import (
    Attempt,
    ScenarioOutcome,
    conclude,
    confirmed_stuck,
    is_hopeless,
    judge,
    skipped,
    wants_another,
)
from sandbox.backing import Backing
from sandbox.box import Limits, driver_name
from sandbox.building import APP, BuildRefused, build
from sandbox.gateway.gateway import DATABASE_PORT, KAFKA_PORT
from sandbox.pool import Pool
from sandbox.process import SandboxError
from sandbox.runtimes import Runtime, get_runtime
from sandbox.runtimes import problems as source_problems

# Most of a scenario is waiting: three of them keep two cores half busy, and the three that Run
# plays are over with the longest of them.
SIDE_BY_SIDE = 3
SCENARIO_S = 150.0
MORE_PATIENCE = 2.0
ANSWER_S = 10.0
RUN_FILE = "run.json"
HOPELESS = "Not played: the program got stuck in every other scenario that was."

OnEvent = Callable[[dict[str, Any]], None]
log = logging.getLogger(__name__)


async def grade(
    challenge: Challenge,
    submission: Submission,
    *,
    seed: int,
    pool: Pool,
    history_dir: Path,
    scenarios: Sequence[str] | None = None,
    on_event: OnEvent = lambda event: None,
) -> Report:
    """Judge a submission and return its report.

    Plays the named scenarios, or all. `history_dir` gets one file for each attempt. `on_event` sees
    output, story and progress as they come: {"type": "output" | "story" | "scenario" | "report"}.
    Raises KeyError for an unknown scenario, ValueError for an unknown language, SandboxError when
    this machine lacks what the language needs, or no broker can be had. A platform fault inside a
    scenario is no exception but a verdict.
    """
    chosen = [challenge.scenario(n) for n in scenarios] if scenarios else list(challenge.scenarios)
    runtime = get_runtime(submission.language)
    if missing := runtime.missing():
        raise SandboxError(missing)
    await asyncio.to_thread(history_dir.mkdir, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            source = await make_program(submission, runtime, Path(folder), on_event)
        except BuildRefused as refusal:
            result = report.refused(challenge, seed, driver_name(), refusal.said)
            on_event({"type": "report", "report": dict(result.data)})
            return result
        program = Program(
            source=source,
            command=runtime.command(APP),
            env=runtime.env,
            mounts=runtime.mounts,
            # The scenario's own limit ends a run; a box must not end it first.
            limits=replace(
                challenge.limits or Limits(), wall_s=MORE_PATIENCE * SCENARIO_S / SLOWEST
            ),
            door_ports=(
                KAFKA_PORT,
                *challenge.leader_ports.values(),
                DATABASE_PORT,
                *challenge.service_ports,
            ),
        )
        async with AsyncExitStack() as stack:
            grounds = [Ground(pool, stack) for _ in range(SIDE_BY_SIDE)]
            apart = submission.has_transactions
            return await Grading(
                challenge, chosen, seed, program, grounds, apart, history_dir, on_event
            ).run()


async def make_program(
    submission: Submission, runtime: Runtime, folder: Path, on_event: OnEvent
) -> Path:
    """Write a submission below `folder`, build it where it is to be built, and return the folder of
    what is to run. Raises BuildRefused when it is not fit to be started."""
    if problems := submission.problems() or source_problems(submission.language, submission.files):
        raise BuildRefused(problems)
    source = folder / "source"
    submission.write_to(source)

    def said(stream: str, text: str) -> None:
        line = {"scenario": "", "instance": "compiler", "stream": stream, "text": text}
        on_event({"type": "output", **line})

    return await build(runtime, source, folder / "built", said)


@dataclass
class Ground:
    """Where scenarios are played: a lent broker and PostgreSQL server, replaced by others when they
    no longer answer. `lend_s` is how long was waited for them, `version` that of Kafka."""

    pool: Pool
    stack: AsyncExitStack
    lend_s: float = 0.0
    version: str = ""
    _lent: tuple[Backing, Kafka] | None = None
    _lending: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def lent(self) -> tuple[Backing, Kafka]:
        """Return what is lent, and our connection to its broker."""
        async with self._lending:
            if self._lent is None or not await self._lent[0].answers(within=ANSWER_S):
                began = time.monotonic()
                self._lent = await self._lend()
                self.lend_s += time.monotonic() - began
            return self._lent

    async def _lend(self) -> tuple[Backing, Kafka]:
        backing = await self.stack.enter_async_context(self.pool.lend())
        self.version = backing.broker.version
        kafka = Kafka(backing.broker.bootstrap)
        self.stack.callback(kafka.close)
        return backing, kafka


@dataclass
class Grading:
    """One submission being graded. `apart`: whether what is played side by side has a ground of
    its own each."""

    challenge: Challenge
    chosen: Sequence[Scenario]
    seed: int
    program: Program
    grounds: Sequence[Ground]
    apart: bool
    history_dir: Path
    on_event: OnEvent
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    skips: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    check_s: float = 0.0
    program_cpu_s: float = 0.0

    @property
    def checks(self) -> list[str]:
        """The ids of the checks that count."""
        return [use.id for use in self.challenge.checks]

    async def run(self) -> Report:
        """Play all scenarios and report."""
        began, cpu = time.monotonic(), time.process_time()
        await self._play_all()
        if self._met_itself():
            self.apart = True
            self.attempts.clear()
            self.skips.clear()
            self.done.clear()
            await self._play_all()
        lend_s = max(ground.lend_s for ground in self.grounds)
        timing = {
            "queue_s": 0.0,
            "lend_s": lend_s,
            "run_s": time.monotonic() - began - lend_s - self.check_s,
            "check_s": self.check_s,
            "total_s": time.monotonic() - began,
            "cpu_s": time.process_time() - cpu,
            "program_cpu_s": self.program_cpu_s,
        }
        run = {
            "challenge": self.challenge.name,
            "seed": self.seed,
            "driver": driver_name(),
            "scenarios": [scenario.name for scenario in self.chosen],
            "attempts": {name: len(each) for name, each in self.attempts.items()},
            "skips": self.skips,
            "timing": {name: round(seconds, 3) for name, seconds in timing.items()},
            "versions": {
                "kafka": self.grounds[0].version,
                "offsetzero": metadata.version("offsetzero"),
            },
        }
        (self.history_dir / RUN_FILE).write_text(json.dumps(run, indent=1), "utf-8")
        result = conclude_all(self.challenge, run, self.attempts)
        self.on_event({"type": "report", "report": dict(result.data)})
        return result

    async def _play_all(self) -> None:
        for scenario in self.chosen:
            self._tell(scenario, "waiting")
        free = asyncio.Queue[Ground]()
        for ground in self.grounds:
            free.put_nowait(ground if self.apart else self.grounds[0])
        # Who was given up while others still played gets its turn when one of those went well.
        while open_ones := [s for s in self.chosen if self._is_open(self.attempts.get(s.name, []))]:
            async with asyncio.TaskGroup() as tasks:
                for scenario in open_ones:
                    tasks.create_task(self._play_in_turn(scenario, free))
        if not self._met_itself():
            self._conclude_the_rest()

    def _conclude_the_rest(self) -> None:
        """Conclude the scenarios that ended or were left out while the program seemed hopeless."""
        for scenario in self.chosen:
            if scenario.name in self.done:
                continue
            if not self.attempts[scenario.name]:
                self.skips[scenario.name] = HOPELESS
            self._conclude(scenario)

    def _met_itself(self) -> bool:
        """Whether the program uses Kafka transactions, and was on the same ground twice at once."""
        producers = (p for a in self._all_attempts() for p in a.history.of(Producer))
        shared = not self.apart and len(self.chosen) > 1
        return shared and any(producer.transactional_id is not None for producer in producers)

    def _all_attempts(self) -> list[Attempt]:
        return [attempt for each in self.attempts.values() for attempt in each]

    async def _play_in_turn(self, scenario: Scenario, free: asyncio.Queue[Ground]) -> None:
        """Play a scenario as often as it needs, each time on a ground that is free. A repeat queues
        up behind the other scenarios: they may tell by then that the program is hopeless, and the
        repeat mostly takes twice the patience."""
        attempts = self.attempts.setdefault(scenario.name, [])
        while self._is_open(attempts):
            ground = await free.get()
            try:
                if self._is_open(attempts):  # still, after the wait
                    attempts.append(await self._attempt(scenario, attempts, ground))
            finally:
                free.put_nowait(ground)
        if not self._is_hopeless() and not self._met_itself():
            self._conclude(scenario)

    def _conclude(self, scenario: Scenario) -> None:
        """Say how a scenario ended."""
        self.done.add(scenario.name)
        name, hopeless = scenario.name, self._is_hopeless()
        outcome = outcome_of(name, self.skips, self.attempts, self.checks, hopeless=hopeless)
        self._tell(scenario, "done", outcome.verdict)

    def _is_open(self, attempts: Sequence[Attempt]) -> bool:
        """Whether a scenario with these attempts is to be played once more."""
        if self._is_hopeless() or self._met_itself():
            return False
        return not attempts or wants_another(attempts, known=self._known_stuck())

    def _is_hopeless(self) -> bool:
        """Whether the attempts so far say enough."""
        return is_hopeless(self._all_attempts())

    def _known_stuck(self) -> set[str]:
        """The checks by which a lack of progress counts in some scenario already."""
        return {check for each in self.attempts.values() for check in confirmed_stuck(each)}

    def _tell(self, scenario: Scenario, state: str, verdict: str | None = None) -> None:
        event = {"type": "scenario", "name": scenario.name, "title": scenario.title, "state": state}
        self.on_event(event | ({"verdict": verdict} if verdict else {}))

    async def _attempt(
        self, scenario: Scenario, before: Sequence[Attempt], ground: Ground
    ) -> Attempt:
        """Play a scenario once more, save its history, and judge it."""
        if not before:
            self._tell(scenario, "running")
        history = Recorder()
        patience = MORE_PATIENCE if any(a.took_long for a in before) else 1.0
        try:
            await self._play(scenario, history, patience, ground)
        except Exception as error:
            log.warning("%s: %s", scenario.name, error, exc_info=error)
            detail = "; ".join(map(describe, leaves(error)))
            if not len(history):
                self._began_anyway(scenario, history)
            history.append("aborted", reason="harness", detail=detail)
        began = time.monotonic()
        name = f"{scenario.name}.{len(before) + 1}.jsonl"
        await asyncio.to_thread(history.save, self.history_dir / name)
        attempt = judge(history, self.checks)
        self.check_s += time.monotonic() - began
        return attempt

    async def _play(
        self, scenario: Scenario, history: Recorder, patience: float, ground: Ground
    ) -> None:
        backing, kafka = await ground.lent()
        async with open_lab(
            self.challenge,
            scenario,
            seed=self.seed,
            patience=patience,
            program=self.program,
            backing=backing,
            kafka=kafka,
            history=history,
            on_event=self.on_event,
        ) as lab:
            try:
                await play(lab)
            finally:
                self.program_cpu_s += sum(i.cpu_seconds for i in lab.instances.values())

    def _began_anyway(self, scenario: Scenario, history: Recorder) -> None:
        """A history always says what it is of."""
        history.append(
            "scenario",
            challenge=self.challenge.name,
            scenario=scenario.name,
            seed=self.seed,
            driver=driver_name(),
            group="",
            topics={},
        )


async def run_within(lab: Lab, limit_s: float) -> None:
    """Run a lab's scenario. Raises TimeoutError after so many seconds of the fair clock."""
    story = asyncio.ensure_future(lab.scenario.run(lab))
    story.add_done_callback(lambda _: lab.history.touch())
    try:
        if not await lab.history.wait_for(lambda _: story.done(), limit_s):
            raise TimeoutError
    finally:
        story.cancel()
        await asyncio.wait([story])
    await story


async def play(lab: Lab) -> None:
    """Play a lab's scenario to its end, however it ends, and record what the program left
    behind."""
    try:
        await run_within(lab, SCENARIO_S * lab.patience)
    except NotExercised as error:
        lab.history.append("aborted", reason="not_exercised", detail=str(error))
        await lab.recover()
    except TimeoutError:
        detail = f"the scenario was not over after {SCENARIO_S * lab.patience:.0f} s"
        lab.history.append("aborted", reason="wall-clock", detail=detail)
    await lab.close()


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions in an exception group, however deep; the exception itself when it is none."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in leaves(each)]
    return [error]


def describe(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {error}"


def outcome_of(
    name: str,
    skips: Mapping[str, str],
    attempts: Mapping[str, Sequence[Attempt]],
    checks: Sequence[str],
    *,
    hopeless: bool,
) -> ScenarioOutcome:
    """The outcome of one scenario, played or not. Pure."""
    if name in skips:
        return skipped(name, skips[name], checks)
    return conclude(name, attempts[name], checks, hopeless=hopeless)


def conclude_all(
    challenge: Challenge, run: Mapping[str, Any], attempts: Mapping[str, Sequence[Attempt]]
) -> Report:
    """The report on a run from its attempts. Pure."""
    checks = [use.id for use in challenge.checks]
    hopeless = is_hopeless([a for each in attempts.values() for a in each])
    outcomes = [
        outcome_of(name, run["skips"], attempts, checks, hopeless=hopeless)
        for name in run["scenarios"]
    ]
    driver = run.get("driver", "process")  # runs of before there were two do not tell
    return report.build(challenge, run["seed"], driver, outcomes, run["timing"], run["versions"])


def recheck(history_dir: Path, challenge: Challenge) -> Report:
    """The report again, from the saved histories alone; runs no program.

    Raises FileNotFoundError when the folder holds no run, ValueError for a damaged history.
    """
    run = json.loads((history_dir / RUN_FILE).read_text("utf-8"))
    checks = [use.id for use in challenge.checks]
    attempts = {
        name: [
            judge(History.load(history_dir / f"{name}.{n}.jsonl"), checks)
            for n in range(1, count + 1)
        ]
        for name, count in run["attempts"].items()
    }
    return conclude_all(challenge, run, attempts)
