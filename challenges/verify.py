"""The kill matrix: known solutions against checks.

Each challenge has programs whose verdict is known. An accepted one must pass every check. A
rejected one must fail its intended check in its intended scenario, and no check besides that one
and its declared companions. Anything else is a deviation: the solution, a scenario or a check is
wrong, and a candidate would be judged wrongly.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from challenges.catalogue import FOLDER, build, known, load, read_toml
from graders.grade import grade
from graders.spec import Challenge, Submission
from graders.verdicts import Verdict
from sandbox.pool import Pool
from sandbox.runtimes import get_runtime

EXPECT = "expect.toml"


@dataclass(frozen=True)
class Mistake:
    """What expect.toml says of a rejected solution: the mistake in one sentence, the check that
    must fail, the scenario that must expose it, and the checks that may fail along with it."""

    mistake: str
    check: str
    scenario: str
    companions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Solution:
    """A program with a known verdict; `mistake` is None when it is a correct one."""

    name: str
    submission: Submission
    mistake: Mistake | None

    @property
    def missing(self) -> str:
        """What this machine lacks to play it; empty when nothing."""
        return get_runtime(self.submission.language).missing()


@dataclass(frozen=True)
class Trial:
    """One grading of one solution. `verdicts` are by check over all scenarios; `deviations` say in
    words what is not as it must be; empty when all is."""

    solution: str
    seed: int
    verdicts: Mapping[str, str]
    deviations: Sequence[str]
    seconds: float


@dataclass(frozen=True)
class Matrix:
    """All trials of a challenge's solutions."""

    challenge: str
    checks: Sequence[str]
    solutions: Sequence[Solution]
    trials: Sequence[Trial]

    @property
    def deviations(self) -> list[str]:
        """What is not as it must be, in words, over all trials."""
        return [
            f"{trial.solution} (seed {trial.seed}): {deviation}"
            for trial in self.trials
            for deviation in trial.deviations
        ]

    @property
    def flips(self) -> int:
        """How many verdicts differ from the most frequent one of their solution and check."""
        cells = (self.cell(s.name, check) for s in self.solutions for check in self.checks)
        return sum(cell.total() - max(cell.values(), default=0) for cell in cells)

    def cell(self, solution: str, check: str) -> Counter[str]:
        """The verdicts of a check on a solution, counted."""
        return Counter(t.verdicts[check] for t in self.trials if t.solution == solution)


def solutions(challenge: Challenge, folder: Path | None = None) -> list[Solution]:
    """The known solutions of a challenge, accepted ones first.

    Raises CatalogueError when an expect.toml is not as it must be.
    """
    folder = folder or FOLDER / challenge.name / "solutions"
    paths = [
        path for kind in ("accepted", "rejected") for path in sorted((folder / kind).iterdir())
    ]
    return [read_solution(path, challenge) for path in paths if path.is_dir()]


def read_solution(path: Path, challenge: Challenge) -> Solution:
    submission = Submission.read(path)
    files = {name: text for name, text in submission.files.items() if name != EXPECT}
    mistake = read_mistake(path / EXPECT, challenge) if path.parent.name == "rejected" else None
    return Solution(path.name, Submission(files, submission.language), mistake)


def read_mistake(file: Path, challenge: Challenge) -> Mistake:
    mistake = build(Mistake, read_toml(file), str(file))
    checks = [use.id for use in challenge.checks]
    for check in (mistake.check, *mistake.companions):
        known(check, checks, f"{file}: check")
    known(mistake.scenario, [s.name for s in challenge.scenarios], f"{file}: scenario")
    return mistake


async def verify(
    name: str,
    *,
    repeat: int = 1,
    only: Collection[str] = (),
    seed: int = 1,
    quick: bool = False,
    jobs: int = 1,
    history: Path,
    on_trial: Callable[[Trial], None],
) -> Matrix:
    """Grade the solutions of a challenge `repeat` times each, with seeds from `seed` on.

    `only` names the solutions to grade, all when empty. `quick` plays a rejected one in the
    scenario alone that must expose it. A solution for whose language this machine lacks something
    is left out. `jobs` gradings run side by side. Histories are written below `history`. Raises
    KeyError for a challenge or solution that does not exist.
    """
    challenge = load(name)
    chosen = [s for s in choose(solutions(challenge), only) if not s.missing]
    pool = Pool(jobs)
    await pool.start()
    places = asyncio.Semaphore(jobs)

    async def trial(solution: Solution, turn: int) -> Trial:
        async with places:
            report = await grade(
                challenge,
                solution.submission,
                seed=turn,
                scenarios=[solution.mistake.scenario] if quick and solution.mistake else None,
                pool=pool,
                history_dir=history / f"{solution.name}-{turn}",
            )
        found = judge(solution, turn, report.data)
        on_trial(found)
        return found

    try:
        turns = range(seed, seed + repeat)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(trial(s, turn)) for turn in turns for s in chosen]
        trials = [task.result() for task in tasks]
    finally:
        await pool.close()
    return Matrix(name, [use.id for use in challenge.checks], chosen, trials)


def choose(found: Sequence[Solution], only: Collection[str]) -> list[Solution]:
    names = [solution.name for solution in found]
    if unknown := set(only) - set(names):
        raise KeyError(f"no solution {min(unknown)!r}; there are: {', '.join(names)}")
    return [solution for solution in found if not only or solution.name in only]


def judge(solution: Solution, seed: int, report: Mapping[str, Any]) -> Trial:
    """Compare a report (as JSON) with what is known of the solution."""
    checks = {check["id"]: check for check in report["checks"]}
    mistake = solution.mistake
    if report["problems"]:
        found: Iterable[str] = [report["headline"]]
    else:
        found = rejected_deviations(checks, mistake) if mistake else accepted_deviations(checks)
    return Trial(
        solution=solution.name,
        seed=seed,
        verdicts={id: check["verdict"] for id, check in checks.items()},
        deviations=list(found),
        seconds=report["timing"].get("total_s", 0.0),
    )


def accepted_deviations(checks: Mapping[str, Any]) -> Iterator[str]:
    for id, check in checks.items():
        if check["verdict"] != Verdict.PASS:
            yield f"{id} is {check['verdict']} in {played(check, check['verdict'])}"


def rejected_deviations(checks: Mapping[str, Any], mistake: Mistake) -> Iterator[str]:
    intended = {s["name"]: s["verdict"] for s in checks[mistake.check]["scenarios"]}
    if (found := intended.get(mistake.scenario)) != Verdict.FAIL:
        yield f"{mistake.check} is {found} in {mistake.scenario}, which must expose it"
    for id, check in checks.items():
        if check["verdict"] == Verdict.FAIL and id not in (mistake.check, *mistake.companions):
            yield f"{id} is FAIL in {played(check, Verdict.FAIL)}, which is not its mistake"


def played(check: Mapping[str, Any], verdict: str) -> str:
    """The scenarios in which a check got this verdict."""
    return ", ".join(s["name"] for s in check["scenarios"] if s["verdict"] == verdict)


def table(matrix: Matrix) -> str:
    """The matrix for people: one row a solution, one column a check."""
    width = max((len(s.name) for s in matrix.solutions), default=0) + 2
    columns = [max(len(check), 5) + 2 for check in matrix.checks]
    heads = "".join(check.ljust(w) for check, w in zip(matrix.checks, columns, strict=True))
    lines = [" " * width + heads]
    for solution in matrix.solutions:
        cells = [
            shown(matrix.cell(solution.name, check), check, solution.mistake).ljust(column)
            for check, column in zip(matrix.checks, columns, strict=True)
        ]
        lines.append(solution.name.ljust(width) + "".join(cells).rstrip())
    return "\n".join(lines)


def shown(cell: Counter[str], check: str, mistake: Mistake | None) -> str:
    """A cell: a sign for each verdict, with its count when there are several, and brackets round
    the one that is intended."""
    signs = [
        Verdict(verdict).sign + (str(count) if len(cell) > 1 else "")
        for verdict, count in cell.most_common()
    ]
    text = " ".join(signs)
    return f"[{text}]" if mistake and mistake.check == check else text


def to_json(matrix: Matrix) -> dict[str, Any]:
    """The matrix as data."""
    return {
        "schema": 1,
        "challenge": matrix.challenge,
        "solutions": [
            {"name": s.name, "mistake": asdict(s.mistake) if s.mistake else None}
            for s in matrix.solutions
        ],
        "trials": [asdict(trial) for trial in matrix.trials],
        "flips": matrix.flips,
        "deviations": matrix.deviations,
    }
