"""Build the report (form: see the keys below) from the outcomes of all scenarios. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graders.checks import CHECKS, Finding
from graders.evidence import card
from graders.history import History
from graders.spec import SKILLS, Challenge, CheckUse
from graders.verdict import ScenarioOutcome, combine, score
from graders.verdicts import Verdict, worst

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """A report as its JSON object."""

    data: Mapping[str, Any]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all checks."""
        return Verdict(self.data["verdict"])

    @property
    def score(self) -> float:
        """The weighted share of what passed, 0 to 1."""
        return float(self.data["score"])

    @property
    def exit_code(self) -> int:
        """0 every check passed, 1 some check failed, 2 it could not be judged."""
        return {Verdict.FAIL: 1, Verdict.HARNESS_ERROR: 2, Verdict.INCONCLUSIVE: 2}.get(
            self.verdict, 0
        )


def build(
    challenge: Challenge,
    seed: int,
    driver: str,
    outcomes: Sequence[ScenarioOutcome],
    timing: Mapping[str, float],
    versions: Mapping[str, str],
) -> Report:
    """The report on a submission whose scenarios came out so."""
    verdicts = {use.id: combine(outcomes, use.id) for use in challenge.checks}
    checks = [check_part(challenge, use, verdicts[use.id], outcomes) for use in challenge.checks]
    verdict = worst(verdicts.values(), Verdict.INCONCLUSIVE)
    return Report(
        {
            "schema": SCHEMA,
            "challenge": challenge.name,
            "title": challenge.title,
            "seed": seed,
            "verdict": verdict,
            "score": score(outcomes, challenge.checks),
            "headline": headline(verdict, checks, outcomes),
            "driver": driver,
            "skills": skills(challenge.checks, outcomes),
            "scenarios": [scenario_part(challenge, outcome) for outcome in outcomes],
            "checks": checks,
            "not_exercised": [{"scenario": o.name, "text": o.detail} for o in outcomes if o.detail],
            "problems": [],
            "timing": dict(timing),
            "versions": dict(versions),
        }
    )


def refused(challenge: Challenge, seed: int, driver: str, problems: Sequence[str]) -> Report:
    """The report on a submission that is not fit to be started: every check that needs it to run
    is INCONCLUSIVE, progress is FAIL."""
    verdicts = {
        use.id: Verdict.FAIL if use.id == "LIV-1" else Verdict.INCONCLUSIVE
        for use in challenge.checks
    }
    checks = [check_part(challenge, use, verdicts[use.id], []) for use in challenge.checks]
    return Report(
        {
            "schema": SCHEMA,
            "challenge": challenge.name,
            "title": challenge.title,
            "seed": seed,
            "verdict": Verdict.FAIL,
            "score": 0.0,
            "headline": f"The program was not started: {problems[0]}",
            "driver": driver,
            "skills": skills(challenge.checks, []),
            "scenarios": [],
            "checks": checks,
            "not_exercised": [],
            "problems": list(problems),
            "timing": {},
            "versions": {},
        }
    )


def check_part(
    challenge: Challenge,
    use: CheckUse,
    verdict: Verdict,
    outcomes: Sequence[ScenarioOutcome],
) -> dict[str, Any]:
    """What the report says about one check."""
    check = CHECKS[use.id]
    return {
        "id": use.id,
        "name": check.name,
        "claim": check.claim,
        "skill": use.skill,
        "weight": use.weight,
        "verdict": verdict,
        "scenarios": [{"name": o.name, "verdict": o.verdicts[use.id]} for o in outcomes],
        "evidence": evidence(challenge, use.id, verdict, outcomes),
    }


def evidence(
    challenge: Challenge, id: str, verdict: Verdict, outcomes: Sequence[ScenarioOutcome]
) -> dict[str, Any] | None:
    """The card of the first finding with this verdict; None when nothing was found."""
    found: list[tuple[ScenarioOutcome, Finding, History]] = [
        (outcome, finding, history)
        for outcome in outcomes
        for finding, history in outcome.findings
        if finding.check == id and finding.verdict == verdict
    ]
    if not found:
        return None
    outcome, finding, history = found[0]
    title = challenge.scenario(outcome.name).title
    return card(finding, history, title=title) | {"more": len(found) - 1}


def scenario_part(challenge: Challenge, outcome: ScenarioOutcome) -> dict[str, Any]:
    """What the report says about one scenario."""
    scenario = challenge.scenario(outcome.name)
    return {
        "name": outcome.name,
        "title": scenario.title,
        "exposes": first_sentence(scenario.run.__doc__ or ""),
        "visible": scenario.visible,
        "verdict": outcome.verdict,
        "attempts": outcome.attempts,
        "seconds": round(outcome.seconds, 3),
        "detail": outcome.detail,
    }


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line."""
    return " ".join(text.split()).split(". ")[0].rstrip(".") + "."


def skills(uses: Sequence[CheckUse], outcomes: Sequence[ScenarioOutcome]) -> list[dict[str, Any]]:
    """All five skills; score None where this challenge asks nothing."""
    parts = []
    for name in SKILLS:
        mine = [use for use in uses if use.skill == name]
        parts.append(
            {
                "name": name,
                "weight": sum(use.weight for use in mine),
                "score": score(outcomes, mine) if mine else None,
            }
        )
    return parts


def headline(
    verdict: Verdict, checks: Sequence[Mapping[str, Any]], outcomes: Sequence[ScenarioOutcome]
) -> str:
    """The report in one sentence, for someone who reads no other."""
    decisive = [check for check in checks if check["verdict"] == verdict]
    cards = [check["evidence"] for check in decisive if check["evidence"]]
    claims = [f"{card['scenario_title']}: {card['brief']}" for card in cards]
    count = f"{len(outcomes)} scenario{'s' if len(outcomes) != 1 else ''}"
    match verdict:
        case Verdict.PASS:
            return f"Every check passed in {count}."
        case Verdict.WARN:
            return f"Every check passed in {count}, with a remark. {claims[0]}"
        case Verdict.FAIL:
            more = f" ({len(decisive)} checks failed in all.)" if len(decisive) > 1 else ""
            return f"{claims[0]}{more}"
        case Verdict.HARNESS_ERROR:
            return "We could not grade this; it is not the program's fault."
    doubtful = sum(bool(outcome.detail) for outcome in outcomes)
    return f"No check failed, but {doubtful or 'some'} of {count} could not be judged."
