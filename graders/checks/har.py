"""HAR: can this run be judged at all? Never blamed on the program.

**Model.** A scenario sets up a situation. If the grader's own ground gave way, or the situation
never arose, then the silence of the other checks means nothing: what would be a PASS becomes
HARNESS_ERROR or INCONCLUSIVE. A FAIL of another check stands, because what happened did happen.

**HAR-1 input-intact.** Every event whose send was acknowledged is in the log at its offset, and the
platform did not fail under the run. Else HARNESS_ERROR: the run is repeated.

**HAR-2 exercised.** Every fault that was armed was applied (or the scenario itself ended it: it
waits for what must come with `until`), nothing it waited for failed to come, and what it needs
took place. "redelivery": some record was handed out after its event had its effect, or was owed
again: the group's position lay at or before a record that had its effect when an instance started
or partitions were assigned. A program that keeps its own position next to its effects is owed the
record and rightly does not fetch it; it is not blamed for that. Else INCONCLUSIVE
(not_exercised).

**HAR-4 machine-sane.** The grader's clock thread was never late by more than half a second, and the
wall clock did not step. Else, unless the run became quiet anyway, INCONCLUSIVE (noisy).

**One worked history** (HAR-2):

    #9  fault    armed: hold OffsetCommit of app
    #80 aborted  not_exercised: waited 10 s for f1 to hold

No commit was ever held, so the crash window was never open: no verdict.
"""

from collections.abc import Iterator

from graders.checks.finding import FactRef, Finding, Place
from graders.checks.run import Run
from graders.facts import Assigned, Fault, Process, Stall
from graders.verdicts import Verdict


def input_intact(run: Run) -> Iterator[Finding]:
    """HAR-1."""
    if run.aborted and run.aborted.reason == "harness":
        yield harness(f"The platform failed during the run: {run.aborted.detail}", run.aborted.n)
    elif not run.drained:
        yield harness("The run ended before the topics could be read to their end.", 1)
    else:
        for sent in run.out_of_place:
            place = Place(sent.topic, sent.partition, sent.offset or 0)
            yield harness(f"{sent.id} was acknowledged at {place} and is not there.", sent.n)


def harness(claim: str, n: int) -> Finding:
    """HAR-1."""
    return Finding(
        "HAR-1",
        Verdict.HARNESS_ERROR,
        claim=claim,
        why="This is a fault of the grading platform, not of the program.",
        first=FactRef(n, claim),
        rows=(n,),
        reason="harness",
    )


def exercised(run: Run) -> Iterator[Finding]:
    """HAR-2."""
    if run.aborted and run.aborted.reason != "harness":
        reason = "slow" if run.aborted.reason == "wall-clock" else "not_exercised"
        yield not_exercised(run.aborted.detail, run.aborted.n, reason)
    for fault in unapplied(run):
        yield not_exercised(f"{fault.action} {fault.target} was armed and never applied.", fault.n)
    if "redelivery" in run.history.began.needs and not (redelivered(run) or owed_again(run)):
        yield not_exercised("No record was delivered, or due to be delivered, a second time.", 1)


def not_exercised(claim: str, n: int, reason: str = "not_exercised") -> Finding:
    """HAR-2."""
    return Finding(
        "HAR-2",
        Verdict.INCONCLUSIVE,
        claim=claim,
        why="The situation this scenario is about never arose, so it says nothing either way.",
        first=FactRef(n, claim),
        rows=(n,),
        reason=reason,
    )


def unapplied(run: Run) -> list[Fault]:
    """Faults that were armed and neither applied nor ended by the scenario itself."""
    armed: dict[str, Fault] = {}
    for fault in run.history.of(Fault):
        if fault.what == "armed":
            armed[fault.fault] = fault
        elif fault.what != "matched":
            armed.pop(fault.fault, None)
    return list(armed.values())


def redelivered(run: Run) -> bool:
    """Whether some record was handed to the program after its event had its effect."""
    for id, places in run.places.items():
        rows = run.effect_rows(id)
        for place in places if rows else ():
            fetches = run.fetches.get(place.lane, ())
            if any(f.n > rows[0].n and f.first <= place.offset <= f.last for f in fetches):
                return True
    return False


def owed_again(run: Run) -> bool:
    """Whether an instance started, or took over partitions, with the group's position at or before
    a record that already had its effect."""
    restarts = [
        x.n
        for x in run.history
        if isinstance(x, Assigned)
        or (isinstance(x, Process) and x.what in ("started", "restarted"))
    ]
    for id, places in run.places.items():
        rows = run.effect_rows(id)
        if rows and any(owed_at(run, places[0], n) for n in restarts if n > rows[0].n):
            return True
    return False


def owed_at(run: Run, place: Place, n: int) -> bool:
    """Whether at fact `n` no accepted commit had passed a record."""
    commit = run.commit_past(place)
    return commit is None or commit.n > n


def machine_sane(run: Run) -> Iterator[Finding]:
    """HAR-4."""
    stalls = run.history.of(Stall)
    if stalls and not run.quiet:
        drift = max(stall.drift_s for stall in stalls)
        yield Finding(
            "HAR-4",
            Verdict.INCONCLUSIVE,
            claim=f"The grading machine stood still for {drift:.1f} s during this run.",
            why="What came late may have been late because of us.",
            first=FactRef(stalls[0].n, f"The grader was not scheduled for {drift:.1f} s."),
            rows=(stalls[0].n,),
            reason="noisy",
        )
