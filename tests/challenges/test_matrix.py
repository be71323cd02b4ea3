"""A telling part of the kill matrix, played for real: of each challenge an accepted solution in all
scenarios, and one rejected solution for each check by which a known mistake dies. Left out are
checks of progress, which must be seen twice and take minutes, and GRD-3: a program that wastes CPU
must find some, and here several share two cores. Of that a half is played, by the day
or by MATRIX_PART (0, 1, or all), so that a run takes minutes and two days see all.
A solution that deviates is played once more, with another seed: this guards against changes that
break a verdict. How often a verdict flips is counted by `make verify-long`, which plays everything.
"""

import asyncio
import os
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from challenges.catalogue import load, names
from challenges.verify import Trial, solutions, verify
from graders.verdict import LIVENESS
from sandbox.setup import prepare
from tests.states import new_state

pytestmark = [pytest.mark.services, pytest.mark.timeout(1500)]

JOBS = 2
LEFT_OUT = (*LIVENESS, "GRD-3")
ACCEPTED = {
    "cqrs_projection": ("generation_column",),
    "dead_letter_queue": ("worker_pool",),
    "event_sourced_account": ("optimistic",),
    "graceful_shutdown": ("worker_per_partition",),
    "idempotent_consumer": ("aiokafka_batches", "go_per_partition", "node_kafkajs"),
    "ordered_updates": ("java_item_chains", "sharded_threads"),
    "saga_choreography": ("transactional_outbox",),
    "saga_orchestration": ("outbox",),
    "transactional_outbox": ("one_loop",),
}


def telling(challenge: str) -> list[str]:
    """The first rejected solution that dies by each check that counts at once."""
    by_check: dict[str, str] = {}
    for solution in solutions(load(challenge)):
        if solution.mistake and solution.mistake.check not in LEFT_OUT:
            by_check.setdefault(solution.mistake.check, solution.name)
    return list(by_check.values())


def part_of(challenge: str) -> list[str]:
    """The solutions of a challenge that this run plays: each second one, begun elsewhere for the
    next challenge, since the accepted ones come first and take the longest."""
    found = [*ACCEPTED[challenge], *telling(challenge)]
    if PART == "all":
        return found
    return found[(int(PART) + names().index(challenge)) % PARTS :: PARTS]


PARTS = 2
PART = os.environ.get("MATRIX_PART") or str(datetime.now(UTC).toordinal() % PARTS)
PLAYED = {name: part_of(name) for name in names()}
CASES = [(challenge, name) for challenge, played in PLAYED.items() for name in played]
MISSING = {(c, s.name): s.missing for c in names() for s in solutions(load(c))}


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with new_state() as folder:
        asyncio.run(prepare(print))
        yield folder


@pytest.fixture(scope="module")
def trials(state: Path) -> dict[str, dict[str, Trial]]:
    """Of each challenge the trials by solution, played when they are first asked for."""
    return {}


def play(state: Path, challenge: str, played: Sequence[str], seed: int) -> dict[str, Trial]:
    """One trial of each of these solutions."""
    matrix = asyncio.run(
        verify(
            challenge,
            only=played,
            seed=seed,
            quick=True,
            jobs=JOBS,
            history=state / "histories" / challenge,
            on_trial=print,
        )
    )
    return {trial.solution: trial for trial in matrix.trials}


@pytest.mark.parametrize(("challenge", "name"), CASES)
def test_a_known_solution_gets_its_known_verdict(
    trials: dict[str, dict[str, Trial]], state: Path, challenge: str, name: str
) -> None:
    if missing := MISSING[challenge, name]:
        pytest.xfail(missing)  # also in CI: it has what Debian and the registries have
    if challenge not in trials:
        trials[challenge] = play(state, challenge, PLAYED[challenge], seed=1)
    found = trials[challenge][name]
    if found.deviations:
        warnings.warn(f"{challenge}/{name} deviated: {found.deviations}", stacklevel=1)
        found = play(state, challenge, [name], seed=2)[name]
    assert not found.deviations, f"{found.verdicts} in {found.seconds} s"
