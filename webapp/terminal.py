"""Grading in a terminal, with nothing of the web application: a broker and a database come up, the
story is told as it happens."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from challenges import catalogue
from challenges.verify import Matrix, Trial, solutions, verify
from graders.grade import RUN_FILE, grade, recheck
from graders.report import Report
from graders.spec import Challenge, Submission
from graders.verdicts import Verdict
from sandbox.pool import Pool
from sandbox.runtimes import get_runtime
from sandbox.setup import prepare

Say = Callable[[str], None]


class Unusable(Exception):
    """What was asked for does not exist or cannot be read; the message says what there is."""


def challenge_named(name: str) -> Challenge:
    """The challenge; raises Unusable with the known names when there is none."""
    if name not in catalogue.names():
        raise Unusable(f"No challenge {name!r}. There are: {', '.join(catalogue.names())}")
    return catalogue.load(name)


def check_scenarios(challenge: Challenge, names: Sequence[str]) -> None:
    """Raise Unusable when a scenario of that name does not exist."""
    known = [scenario.name for scenario in challenge.scenarios]
    for name in names:
        if name not in known:
            raise Unusable(f"No scenario {name!r}. There are: {', '.join(known)}")


def check_language(challenge: Challenge, language: str) -> None:
    """Raise Unusable when a language is named that the challenge does not take, or that this
    machine cannot run."""
    if language and language not in challenge.languages:
        raise Unusable(f"{challenge.name} is for: {', '.join(challenge.languages)}")
    if language and (missing := get_runtime(language).missing()):
        raise Unusable(missing)


def read_submission(path: Path, language: str) -> Submission:
    """The program at a path; raises Unusable when it cannot be read as text."""
    try:
        return Submission.read(path, language)
    except UnicodeDecodeError as error:
        raise Unusable(f"{path} holds a file that is not UTF-8 text: {error}") from error
    except OSError as error:
        raise Unusable(f"{error.filename}: {error.strerror}") from error


async def grade_here(
    challenge: Challenge,
    submission: Submission,
    *,
    seed: int,
    scenarios: Sequence[str],
    history: Path,
    say: Say,
) -> Report:
    """Grade on this machine; raises SandboxError when it lacks something."""
    await prepare(say)
    pool = Pool(refills=False)
    await pool.start()
    try:
        return await grade(
            challenge,
            submission,
            seed=seed,
            scenarios=scenarios or None,
            pool=pool,
            history_dir=history,
            on_event=lambda event: tell(event, say),
        )
    finally:
        await pool.close()


async def verify_here(
    name: str,
    *,
    repeat: int,
    only: Sequence[str],
    seed: int,
    quick: bool,
    jobs: int,
    history: Path,
    say: Say,
) -> Matrix:
    """The kill matrix of a challenge; raises KeyError for a solution that does not exist."""
    await prepare(say)
    for solution in solutions(challenge_named(name)):
        if solution.missing:
            say(f"{solution.name}: not played. {solution.missing}")

    def on_trial(trial: Trial) -> None:
        verdict = "; ".join(trial.deviations) or "as expected"
        say(f"{trial.solution}, seed {trial.seed}: {verdict} ({trial.seconds:.1f} s)")

    return await verify(
        name,
        repeat=repeat,
        only=only,
        seed=seed,
        quick=quick,
        jobs=jobs,
        history=history,
        on_trial=on_trial,
    )


def recheck_history(folder: Path) -> Report:
    """The verdict again, from a saved history; raises Unusable when the folder holds none."""
    try:
        run = json.loads((folder / RUN_FILE).read_text("utf-8"))
        return recheck(folder, challenge_named(run["challenge"]))
    except (OSError, ValueError, KeyError) as error:
        raise Unusable(f"{folder} is not the history of a graded run: {error}") from error


def tell(event: dict[str, Any], say: Say) -> None:
    """Say one live event in a line."""
    match event:
        case {"type": "output", "scenario": scenario, "instance": instance, "text": text}:
            say(f"  [{' '.join(filter(None, (scenario, instance)))}] {text}")
        case {"type": "story", "scenario": scenario, "text": text}:
            say(f"  [{scenario}] {text}")
        case {"type": "scenario", "state": "running", "name": name, "title": title}:
            say(f"> {name}: {title}")
        case {"type": "scenario", "state": "done", "name": name, "verdict": verdict}:
            say(f"{Verdict(verdict).sign} {name}: {Verdict(verdict).word}")
