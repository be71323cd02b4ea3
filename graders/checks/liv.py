"""LIV: progress.

**Model.** After the last fault the grader sends one ordinary event to each partition (sentinels)
and waits until the group's position lies past every record, the group is stable and all effects
are there. It waits as long as anything moves, within bounds, and patiently when nothing does.

**LIV-1 progress.** The last wait ended without quiet: something sent was never dealt with. The
facts say what: effects missing, records not committed, the group never stable, the program gone
and not started again after it ended too often. May wrongly accuse a slow program or a busy
machine: hence a wait that ended while things still moved, or while the grader itself was not
scheduled, is INCONCLUSIVE; and the grader repeats a run with doubled patience and calls it a FAIL
only when two of three end so. Silent when the position falls short by exactly the one record that
COM-2 speaks about. Progress that came only with something new, a restart of all instances above
all, is none: what was missing at an earlier wait's end, and was there at the last one's, came too
late. (OBX-6 says the same of an outbox.) Nor is it progress when an instance ended so often that it
was not started again, though others dealt with everything. Seen once only, either is left out: the
first wait is shorter than the 7 s that the statements promise.

**LIV-2 answers.** A program that serves HTTP answers: every question that the grader asked again
and again, from when the program may be expected to listen, was answered in the end with a status
below 500. What is asked while something stands in the program's way is not asked so. Like LIV-1 it
counts only when two of three runs end so, with doubled patience.

**One worked history**:

    #40 sent     payments-2@13 pay-0040 (sentinel)
    #41 process  app exited with code 1: "KeyError: 'amount'"
    ...
    #66 process  app abandoned after 6 exits
    #67 settled  not quiet: 3 of 43 events have no effect; payments-2 is committed at 12 of 14
"""

from collections.abc import Iterator

from graders.checks.com import off_by_one
from graders.checks.finding import FactRef, Finding, Place
from graders.checks.run import Run
from graders.facts import (
    Asked,
    Connection,
    Fault,
    Process,
    Refused,
    Sent,
    Settled,
    Stall,
    State,
)
from graders.verdicts import Verdict


def progress(run: Run) -> Iterator[Finding]:
    """LIV-1."""
    settled = run.settled
    if settled is None or any(off_by_one(run)):
        return
    noisy = run.history.of(Stall)
    if settled.quiet:
        yield from [] if noisy else healed(run, settled) or given_up(run, settled)
    elif noisy:
        yield unsure(settled, "noisy", "The grading machine itself was stalled during this run.")
    elif settled.moving:
        yield unsure(settled, "slow", "Things were still moving when the time was over.")
    else:
        yield no_progress(run, settled)


def healed(run: Run, settled: Settled) -> list[Finding]:
    """LIV-1 about what had not come when nothing moved any more, and was there in the end."""
    ends = (s for s in run.history.of(Settled) if s.n < settled.n and not s.moving)
    late = next((s for s in ends if s.missing or not s.quiet), None)
    if late and not (settled.missing or run.history.began.outbox):
        return [came_late(run, late, settled)]
    return []


def came_late(run: Run, late: Settled, settled: Settled) -> Finding:
    """LIV-1 about what came only after something new."""
    helped = what_helped(run, late, settled)
    return Finding(
        "LIV-1",
        Verdict.FAIL,
        claim="The program stopped making progress until something new happened.",
        first=FactRef(late.n, f"After {late.waited_s:.1f} s: {listed(late)}."),
        second=helped,
        both="Nothing of the grader was in the program's way any more, yet nothing moved; what was "
        "missing came only after this.",
        why="What is due must come by itself: a service may run for months until it is started "
        "again, and nobody knows when the next event comes.",
        rows=(late.n, helped.n),
        reason="late",
    )


def given_up(run: Run, settled: Settled) -> list[Finding]:
    """LIV-1 about an instance that is gone for good while the others deal with everything."""
    gone = next((p for p in run.history.of(Process) if p.what == "abandoned"), None)
    return [is_gone(gone, settled)] if gone else []


def is_gone(gone: Process, settled: Settled) -> Finding:
    """LIV-1 about an instance that was not started again."""
    return Finding(
        "LIV-1",
        Verdict.FAIL,
        claim=f"{gone.instance} ended so often that it was not started again.",
        first=FactRef(gone.n, ended(gone)),
        second=FactRef(settled.n, "In the end everything was dealt with, without it."),
        both="A program may end at an error that it cannot handle, but not again and again.",
        why="Whatever ends one instance ends the next one too, sooner or later.",
        rows=(gone.n, settled.n),
        reason="late",
    )


def what_helped(run: Run, late: Settled, settled: Settled) -> FactRef:
    """The first thing that the grader did after a wait in vain; the last wait when it did nothing
    that the history tells."""
    starts = (p for p in run.history.of(Process) if p.what == "started" and p.n > late.n)
    sent = (s for s in run.history.of(Sent) if s.n > late.n)
    if start := next(starts, None):
        return FactRef(start.n, f"{start.instance} was started again.")
    if event := next(sent, None):
        return FactRef(event.n, f"{event.id} was sent.")
    return FactRef(settled.n, "At the end of the last wait nothing was missing.")


def unsure(settled: Settled, reason: str, why: str) -> Finding:
    """LIV-1 when waiting says nothing."""
    return Finding(
        "LIV-1",
        Verdict.INCONCLUSIVE,
        claim=f"After {settled.waited_s:.1f} s not everything was dealt with: {listed(settled)}.",
        why=why,
        rows=(settled.n,),
        reason=reason,
    )


def no_progress(run: Run, settled: Settled) -> Finding:
    """LIV-1 about what never came."""
    waiting = first_waiting(run)
    cause = probable_cause(run)
    return Finding(
        "LIV-1",
        Verdict.FAIL,
        claim=claim(run, waiting),
        brief=claim(run, waiting) if run.effects else f"{claim(run, waiting)} {cause.text}",
        first=FactRef(settled.n, f"After {settled.waited_s:.1f} s: {listed(settled)}."),
        second=cause,
        both="Nothing of the grader was in the program's way any more, yet nothing moved.",
        why="A consumer must come back to work after every fault: join its group, take up its "
        "partitions, deal with every record, and commit what it has dealt with.",
        rows=tuple(sorted({cause.n, settled.n})),
        places=(waiting,) if waiting else (),
    )


def claim(run: Run, waiting: Place | None) -> str:
    """The accusation: no effects at all, some missing, or only the position behind."""
    assert run.settled is not None
    if not run.effects and run.first_sent:
        return "The program never had any effect."
    if run.missing:
        return f"The program stopped making progress at {waiting}."
    if len(run.settled.unmet) > len(run.settled.behind):  # not commits alone
        return "The program stopped making progress."
    return "Every event has its effect, but the committed position stays behind."


def listed(settled: Settled) -> str:
    """What was unmet, as one phrase."""
    return "; ".join(settled.unmet) or "no quiet"


def first_waiting(run: Run) -> Place | None:
    """The first record without its effect, else the first that is not committed."""
    for _, id in run.missing:
        return run.places[id][0]
    assert run.settled is not None
    for topic, partition, behind in run.settled.behind:
        records = run.records.get((topic, partition), [])
        if behind and len(records) >= behind:
            return Place(topic, partition, records[-behind].offset)
    return None


def probable_cause(run: Run) -> FactRef:
    """The fact that best explains why nothing moves."""
    processes = run.history.of(Process)
    if ends := [p for p in processes if p.what == "abandoned"]:
        return FactRef(ends[-1].n, ended(ends[-1]))
    if refused := run.history.of(Refused):
        return FactRef(refused[-1].n, refusal(refused[-1]))
    if turned_away := [c for c in run.history.of(Connection) if c.what == "refused"]:
        return FactRef(turned_away[-1].n, turning_away(turned_away))
    latest = processes[-1].n if processes else 1
    for service, name in needed_services(run):
        if not any(c.service == service for c in run.history.of(Connection)):
            return FactRef(latest, f"The program never opened a connection to {name}.")
    if not run.fetches:
        return FactRef(latest, "The program was up and never fetched a record.")
    return FactRef(latest, "The program was up and unhindered.")


def answers(run: Run) -> Iterator[Finding]:
    """LIV-2."""
    for asked in run.history.of(Asked):
        if asked.owed and not asked.is_answered:
            yield unanswered(run, asked)
            return


def unanswered(run: Run, asked: Asked) -> Finding:
    """LIV-2 about a question that got no answer, or only errors."""
    same = [
        a for a in run.history.of(Asked) if (a.instance, a.path) == (asked.instance, asked.path)
    ]
    got = f"status {asked.status}" if asked.status else f"no answer: {asked.error}"
    return Finding(
        "LIV-2",
        Verdict.INCONCLUSIVE if run.history.of(Stall) else Verdict.FAIL,
        claim=f"{asked.instance} did not answer {asked.method} {asked.path}: {got}.",
        brief="The program did not answer over HTTP.",
        first=FactRef(same[0].n, f"{asked.instance} is asked {asked.method} {asked.path}."),
        second=FactRef(asked.n, f"{asked.t - same[0].asked_t:.1f} s later it still gives {got}."),
        both=f"It was asked again all the time, and {held_back(run, asked)}.",
        why="Whoever asks a service needs an answer, also after a restart."
        + ("" if asked.status else " It listens at the port that its variable PORT names."),
        rows=(same[0].n, asked.n),
        reason="noisy" if run.history.of(Stall) else "",
    )


def held_back(run: Run, asked: Asked) -> str:
    """What the grader held of an instance when it was asked, in words."""
    standing: dict[str, Fault] = {}
    for fault in run.history.of(Fault):
        if fault.n < asked.n and fault.instance in (None, asked.instance):
            if fault.what == "applied" and fault.holds:
                standing[fault.fault] = fault
            elif fault.is_over:
                standing.pop(fault.fault, None)
    if not standing:
        return "nothing of the grader was in the program's way"
    targets = " and ".join(sorted({fault.target for fault in standing.values()}))
    return f"what the grader held meanwhile ({targets}) is no reason not to answer"


def refusal(refused: Refused) -> str:
    """A refused request as a sentence."""
    return (
        f"{refused.instance} was refused {refused.api}: {refused.why}. The statement says which "
        "topics it may read and which it may write."
    )


def turning_away(refused: list[Connection]) -> str:
    """Refused connections as a sentence."""
    last = refused[-1]
    return (
        f"{last.instance} was refused {len(refused)} connection(s), the last to its "
        f"{last.service}: {last.detail}."
    )


def needed_services(run: Run) -> Iterator[tuple[str, str]]:
    """What no program can do without, as (service, name): its database when it has state there."""
    yield "kafka", "the broker"
    if run.history.of(State):
        yield "database", "the database"


def ended(process: Process) -> str:
    """How the program ended, with its last words."""
    words = f' Its last output: "{process.output[-1]}"' if process.output else ""
    return f"{process.instance} was not started again: {process.reason}.{words}"
