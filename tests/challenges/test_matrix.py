"""A telling part of the kill matrix, played for real: of each challenge two accepted solutions,
built differently, in all scenarios; and rejected ones until every check by which a known mistake
dies is met, and every scenario that kills. `make verify` plays everything."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from challenges.catalogue import load, names
from challenges.verify import Matrix, Mistake, Trial, solutions, verify
from sandbox.postgres import Cluster
from sandbox.setup import prepare

pytestmark = [pytest.mark.services, pytest.mark.timeout(1500)]

JOBS = 2
ACCEPTED = {
    "dead_letter_queue": ("scheduler", "worker_pool"),
    "idempotent_consumer": ("aiokafka_batches", "transaction_per_event"),
    "ordered_updates": ("aiokafka_chains", "sharded_threads"),
    "saga_choreography": ("aiokafka_serializable", "transactional_outbox"),
    "saga_orchestration": ("asks_again", "outbox"),
}


def mistakes(challenge: str) -> dict[str, Mistake]:
    """The mistakes of a challenge's rejected solutions by their names."""
    return {s.name: s.mistake for s in solutions(load(challenge)) if s.mistake}


def telling(challenge: str) -> list[str]:
    """Rejected solutions that meet every check and every scenario, each adding one of them."""
    met: set[str] = set()
    chosen = []
    for name, mistake in mistakes(challenge).items():
        if not {mistake.check, mistake.scenario} <= met:
            met |= {mistake.check, mistake.scenario}
            chosen.append(name)
    return chosen


PLAYED = [
    (challenge, name)
    for challenge in names()
    for name in (*ACCEPTED[challenge], *telling(challenge))
]


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="oz-test-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OFFSETZERO_STATE", str(folder))
        asyncio.run(prepare(print))
        yield folder
        asyncio.run(Cluster.programs().stop())
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def matrices(state: Path) -> dict[str, Matrix]:
    """The matrix of each challenge, played when it is first asked for."""
    return {}


def trial(matrices: dict[str, Matrix], state: Path, challenge: str, name: str) -> Trial:
    if challenge not in matrices:
        played = [solution for of, solution in PLAYED if of == challenge]
        matrices[challenge] = asyncio.run(
            verify(
                challenge,
                only=played,
                quick=True,
                jobs=JOBS,
                history=state / "histories" / challenge,
                on_trial=print,
            )
        )
    (found,) = [t for t in matrices[challenge].trials if t.solution == name]
    return found


@pytest.mark.parametrize(("challenge", "name"), PLAYED)
def test_a_known_solution_gets_its_known_verdict(
    matrices: dict[str, Matrix], state: Path, challenge: str, name: str
) -> None:
    found = trial(matrices, state, challenge, name)
    assert not found.deviations, f"{found.verdicts} in {found.seconds} s"
