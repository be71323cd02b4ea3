"""From findings to verdicts: one attempt, one scenario, one submission. Pure.

Per attempt and check: what its findings say; without any, PASS, unless the attempt says nothing
(HAR-1, HAR-2, HAR-4) or got stuck (LIV-1), for then silence means nothing.

A scenario may take up to three attempts. A safety violation counts at once and is never retried: it
happened. A platform fault and an attempt that says nothing are tried again. A lack of progress
(a check in LIVENESS) counts when two of them end so; when one did and one did not, the third tells.
A repeat has doubled patience, unless the platform's fault was all that was before it.

Per submission and check: the worst over all scenarios. The score is the weighted share of what
passed (PASS or WARN): of a check that failed anywhere nothing, of one that could not be judged
everywhere the share of scenarios in which it passed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from graders.checks import HARNESS, Finding, check
from graders.facts import Connection, Effect, Process
from graders.history import History
from graders.spec import CheckUse
from graders.verdicts import Verdict, worst

MOST_ATTEMPTS = 3
LIVENESS = ("LIV-1", "LIV-2", "OBX-6", "ORD-4", "SAG-12", "SAG-9", "SHU-1", "SHU-6")
# After these the run goes on to its end, so the other checks' silence means what it always means.
PASSING = ("OBX-6", "ORD-4", "SHU-1", "SHU-6")
STUCK_TWICE = 2
STUCK_EVERYWHERE = 4


@dataclass(frozen=True)
class Attempt:
    """One attempt at a scenario: its history, what was found in it, a verdict for each check."""

    history: History
    findings: tuple[Finding, ...]
    verdicts: Mapping[str, Verdict]

    @property
    def silence(self) -> Verdict:
        """What a check without findings gets in this attempt."""
        doubts = [
            f.verdict for f in self.findings if f.check in (*HARNESS, *LIVENESS) and not went_on(f)
        ]
        stuck = Verdict.INCONCLUSIVE if Verdict.FAIL in doubts else Verdict.PASS
        return worst([stuck, *(v for v in doubts if v != Verdict.FAIL)])

    @property
    def violates(self) -> bool:
        """Whether a safety violation was proven."""
        return any(f.verdict == Verdict.FAIL and f.check not in LIVENESS for f in self.findings)

    @property
    def is_stuck(self) -> bool:
        """Whether progress ended."""
        return bool(self.stuck_by)

    @property
    def took_long(self) -> bool:
        """Whether with more patience it might have gone otherwise: what was awaited never came."""
        return self.is_stuck or self.silence == Verdict.INCONCLUSIVE

    @property
    def stuck_by(self) -> frozenset[str]:
        """The checks that found that progress ended."""
        fails = (f.check for f in self.findings if f.verdict == Verdict.FAIL)
        return frozenset(check for check in fails if check in LIVENESS)


def went_on(finding: Finding) -> bool:
    """Whether the run went on to its end although progress had ended for a while."""
    passes = finding.check in PASSING or finding.reason == "late"
    return passes and finding.verdict == Verdict.FAIL


def judge(history: History, checks: Sequence[str]) -> Attempt:
    """Judge one attempt by these checks and those of the harness."""
    findings = tuple(check(history, (*HARNESS, *checks)))
    if any(f.verdict == Verdict.HARNESS_ERROR for f in findings):
        # Our ground gave way: nothing in this attempt counts against the program.
        findings = tuple(f for f in findings if f.check in HARNESS)
    attempt = Attempt(history, findings, {})
    verdicts = {
        id: worst((f.verdict for f in findings if f.check == id), attempt.silence)
        for id in (*HARNESS, *checks)
    }
    return replace(attempt, verdicts=verdicts)


def confirmed_stuck(attempts: Sequence[Attempt]) -> frozenset[str]:
    """The checks by which a lack of progress counts after these attempts at one scenario."""
    stuck = [a for a in attempts if a.is_stuck]
    return stuck[-1].stuck_by if len(stuck) >= STUCK_TWICE else frozenset()


def wants_another(attempts: Sequence[Attempt], *, known: Collection[str] = ()) -> bool:
    """Whether a scenario must be played once more to be judged. `known`: the checks by which a lack
    of progress counts in another scenario already, so it need not be confirmed by this one."""
    last = attempts[-1]
    if len(attempts) >= MOST_ATTEMPTS or any(a.violates for a in attempts):
        return False
    if not last.is_stuck and last.silence in (Verdict.HARNESS_ERROR, Verdict.INCONCLUSIVE):
        return True
    stuck = [a for a in attempts if a.is_stuck]
    if len(stuck) != 1 or stuck[0].stuck_by <= set(known):
        return False
    return last.is_stuck or bool(once_only(stuck[0], attempts))


@dataclass(frozen=True)
class ScenarioOutcome:
    """A scenario's verdict for each check, with the findings behind them and the history that each
    finding speaks of; how many attempts there were, and how long they took together. `skipped` says
    why it was not played at all."""

    name: str
    verdicts: Mapping[str, Verdict]
    findings: Sequence[tuple[Finding, History]] = field(default=())
    attempts: int = 0
    seconds: float = 0.0
    skipped: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of its checks."""
        return worst(self.verdicts.values())

    @property
    def detail(self) -> str:
        """Why the scenario says nothing, in words; empty when it does."""
        if self.skipped:
            return self.skipped
        doubts = [f for f, _ in self.findings if f.check in HARNESS]
        return doubts[0].claim if doubts else ""


def is_hopeless(attempts: Sequence[Attempt]) -> bool:
    """Whether the attempts at all scenarios so far say enough, so that the rest need not be played:
    each got stuck, and either there were four of them; or the program never had any effect, and
    three got stuck, or two plainly (it was given up, or never connected to Kafka)."""
    told = [a for a in attempts if a.silence != Verdict.HARNESS_ERROR]
    if not all(a.stuck_by - set(PASSING) for a in told):
        return False
    if any(not effect.ours for a in told for effect in a.history.of(Effect)):
        return len(told) >= STUCK_EVERYWHERE
    plain = sum(is_plain(a.history) for a in told)
    return plain >= STUCK_TWICE or len(told) > STUCK_TWICE


def is_plain(history: History) -> bool:
    """Whether nobody need ask why nothing happened."""
    gone = any(p.what == "abandoned" for p in history.of(Process))
    return gone or not any(c.service == "kafka" for c in history.of(Connection))


def conclude(
    name: str, attempts: Sequence[Attempt], checks: Sequence[str], *, hopeless: bool = False
) -> ScenarioOutcome:
    """One scenario's outcome from its attempts. The attempt that speaks is the first with a
    violation, else the last one stuck when two were (or the whole program is hopeless), else the
    last that was not stuck."""
    stuck = [a for a in attempts if a.is_stuck]
    violating = [a for a in attempts if a.violates]
    free = [a for a in attempts if not a.is_stuck]
    if violating:
        spoken = violating[0]
    elif confirmed_stuck(attempts) or not free:
        spoken = stuck[-1]
    else:
        spoken = free[-1]
    verdicts = {id: spoken.verdicts[id] for id in checks}
    findings = [(finding, spoken.history) for finding in spoken.findings]
    if len(stuck) == 1 and not hopeless:
        once = [f for f in once_only(stuck[0], attempts) if f.check in verdicts]
        findings = [(f, h) for f, h in findings if f.check not in LIVENESS]
        findings += [(finding, stuck[0].history) for finding in once]
        verdicts |= {finding.check: finding.verdict for finding in once}
    seconds = sum(attempt.history.seconds for attempt in attempts)
    return ScenarioOutcome(name, verdicts, findings, len(attempts), seconds)


def once_only(attempt: Attempt, attempts: Sequence[Attempt]) -> list[Finding]:
    """What speaks of a lack of progress that was seen in one attempt of these alone: WARN when
    another went well, INCONCLUSIVE when none did that could tell. What was only late once is left
    out: the first wait is shorter than the 7 s that the statements allow."""
    found = [f for f in attempt.findings if f.check in LIVENESS]
    if len(attempts) > 1:
        found = [f for f in found if f.reason != "late"]
    if not any(a.silence == Verdict.PASS for a in attempts if not a.is_stuck):
        return [replace(f, verdict=Verdict.INCONCLUSIVE, reason="stuck") for f in found]
    often = f"(In 1 of {len(attempts)} attempts.)"
    return [replace(f, verdict=Verdict.WARN, claim=f"{f.claim} {often}") for f in found]


def skipped(name: str, why: str, checks: Sequence[str]) -> ScenarioOutcome:
    """The outcome of a scenario that was not played."""
    return ScenarioOutcome(name, dict.fromkeys(checks, Verdict.INCONCLUSIVE), skipped=why)


def combine(outcomes: Sequence[ScenarioOutcome], id: str) -> Verdict:
    """A check's verdict over all scenarios."""
    return worst((o.verdicts[id] for o in outcomes), Verdict.INCONCLUSIVE)


def score(outcomes: Sequence[ScenarioOutcome], uses: Sequence[CheckUse]) -> float:
    """The weighted share of what passed, from 0 to 1."""
    total = sum(use.weight for use in uses)
    passed = sum(use.weight * share(outcomes, use.id) for use in uses)
    return round(passed / total, 4) if total else 0.0


def share(outcomes: Sequence[ScenarioOutcome], id: str) -> float:
    """The share of scenarios in which a check passed; 0 when it failed in one."""
    told = [outcome.verdicts[id] for outcome in outcomes]
    if not told or Verdict.FAIL in told:
        return 0.0
    return sum(verdict in (Verdict.PASS, Verdict.WARN) for verdict in told) / len(told)
