"""A telling part of the kill matrix, played for real: three accepted solutions, built very
differently, in all scenarios; each rejected one that a short story with one instance exposes; and a
few others, so that every check by which a known mistake dies is met, and every scenario that kills.
`make verify` plays everything."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from challenges.catalogue import load
from challenges.verify import Matrix, solutions, verify
from sandbox.postgres import Cluster
from sandbox.setup import prepare

pytestmark = [pytest.mark.services, pytest.mark.timeout(1500)]

CHALLENGE = "idempotent_consumer"
ACCEPTED = ("transaction_per_event", "aiokafka_batches", "worker_pool")
STORIES = (
    "steady_run",
    "duplicate_events",
    "crash_after_effect_before_commit",
    "restart_forgets_memory",
    "equal_content",
)
OTHERS = (
    "balance_in_second_transaction",
    "bounded_store",
    "check_then_act",
    "commit_on_revoke",
    "highest_offset",
    "lost_update",
    "marker_committed_last",
    "one_partition",
    "swallowed_error",
)
MISTAKES = {s.name: s.mistake for s in solutions(load(CHALLENGE)) if s.mistake}
REJECTED = tuple(
    name
    for name, mistake in MISTAKES.items()
    if name in OTHERS or (mistake.check != "LIV-1" and mistake.scenario in STORIES)
)


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    folder = Path(tempfile.mkdtemp(prefix="oz-test-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OFFSETZERO_STATE", str(folder))
        yield asyncio.run(played(folder / "histories"))
        asyncio.run(Cluster.programs().stop())
    shutil.rmtree(folder)


async def played(history: Path) -> Matrix:
    await prepare(print)
    return await verify(
        CHALLENGE, only=(*ACCEPTED, *REJECTED), quick=True, history=history, on_trial=print
    )


def test_each_check_and_each_scenario_that_kills_is_met() -> None:
    for part in ("check", "scenario"):
        everywhere = {getattr(mistake, part) for mistake in MISTAKES.values()}
        assert {getattr(MISTAKES[name], part) for name in REJECTED} == everywhere


@pytest.mark.parametrize("name", [*ACCEPTED, *REJECTED])
def test_a_known_solution_gets_its_known_verdict(matrix: Matrix, name: str) -> None:
    (trial,) = [trial for trial in matrix.trials if trial.solution == name]
    assert not trial.deviations, f"{trial.verdicts} in {trial.seconds} s"
