"""Hostile programs, graded: each gets a named verdict, and the next honest one its own.

The programs lie in `programs/`, one file for each thing that they attack; a case names the file and
the function in it, the verdict, and the checks that say why.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from challenges.catalogue import load
from graders.grade import grade
from graders.report import Report
from graders.spec import Submission
from sandbox.box import driver_name
from sandbox.pool import Pool

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

PROGRAMS = Path(__file__).with_name("programs")
CHALLENGE = load("idempotent_consumer")


@dataclass(frozen=True)
class Case:
    """A program, its verdict, and the checks that say so."""

    program: str
    verdict: str
    checks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.program


TELLING = [
    Case("on_kafka administers", "FAIL", ("GRD-1",)),
    Case("on_database notifies", "PASS"),
    Case("on_the_grader right_in_the_first_seconds", "FAIL", ("EFF-1", "EFF-6")),
]
OTHERS = [
    Case("on_kafka produces_to_the_input", "FAIL", ("GRD-1",)),
    Case("on_kafka raw_bytes", "WARN", ("GRD-1",)),
    Case("on_kafka huge_metadata", "PASS"),
    Case("on_kafka slow_loris", "PASS"),
    Case("on_kafka storms_the_group", "PASS"),
    Case("on_kafka asks_without_end", "PASS"),
    Case("on_kafka commits_the_end_of_time", "FAIL", ("COM-1",)),
    Case("on_kafka many_transactional_ids", "PASS"),
    Case("on_kafka hanging_transaction", "PASS"),
    Case("on_kafka confusing_client", "PASS"),
    Case("on_database administers", "PASS"),
    Case("on_database shadows_what_the_grader_uses", "PASS"),
    Case("on_database opens_every_connection", "PASS"),
    Case("on_database takes_every_lock", "FAIL", ("LIV-1",)),
    Case("on_database fills_the_queue_of_notifications", "FAIL", ("LIV-1",)),
]
CASES = [*TELLING, *(pytest.param(case, marks=pytest.mark.long) for case in OTHERS)]


async def graded(program: str, pool: Pool, folder: Path) -> Report:
    file, function = program.split()
    files = {path.name: path.read_text() for path in PROGRAMS.glob("*.py")}
    files["main.py"] = f"from {file} import {function}\n\n{function}()\n"
    return await grade(
        CHALLENGE,
        Submission(files),
        seed=7,
        pool=pool,
        history_dir=folder,
        scenarios=["steady_run"],
    )


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_hostile(pool: Pool, tmp_path: Path, case: Case):
    report = await graded(case.program, pool, tmp_path / "hostile")
    named = {check["id"]: check["verdict"] for check in report.data["checks"]}
    assert report.verdict == case.verdict, report.data
    assert all(named[check] == case.verdict for check in case.checks)
    honest = await graded("honest work", pool, tmp_path / "honest")
    assert honest.verdict == "PASS", honest.data
    assert {report.data["driver"], honest.data["driver"]} == {driver_name()}


@pytest.mark.parametrize("driver", ["docker"], indirect=True)
@pytest.mark.parametrize("case", TELLING[-1:], ids=str)
async def test_verdicts_are_the_same_with_docker(
    pool: Pool, tmp_path: Path, driver: str, case: Case
):
    await test_hostile(pool, tmp_path, case)
