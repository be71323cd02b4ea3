"""The evidence card: what a finding looks like to someone who did not write the check.

A claim in one sentence, two facts that cannot both be true, at most twelve rows of timeline, why it
matters, a command that replays it, and a picture of the same rows with one lane for each instance;
of a saga, a sequence diagram of all that happened about it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from graders import facts
from graders.checks import FactRef, Finding, Place
from graders.checks.finding import lane_name, shorten
from graders.facts import Fact, short_topic
from graders.history import History
from graders.picture import Mark, draw, lives
from graders.sequence import sequence

MOST_ROWS = 12
MOST_CHARS = 60  # of what a program chose freely


@dataclass(frozen=True)
class Row:
    """One line of the timeline. `fault` marks what the grader did, `badge` the facts 1 and 2."""

    n: int
    t: float
    source: str
    text: str
    fault: bool = False
    badge: int | None = None


def card(finding: Finding, history: History, title: str) -> dict[str, Any]:
    """The card as JSON. `title` is the scenario's."""
    chosen = choose(finding, history)
    rows = [row_of(fact, finding) for fact in chosen]
    marks = [mark_of(fact, row) for fact, row in zip(chosen, rows, strict=True)]
    began = history.began
    return {
        "check": finding.check,
        "verdict": finding.verdict,
        "claim": finding.claim,
        "brief": finding.brief or finding.claim,
        "scenario": began.scenario,
        "scenario_title": title,
        "seed": began.seed,
        "first": fact_json(finding.first),
        "second": fact_json(finding.second),
        "both": finding.both,
        "why": finding.why,
        "rows": [vars(row) for row in rows],
        "replay": f"offsetzero grade {began.challenge} PATH --seed {began.seed}"
        f" --scenario {began.scenario}",
        "picture": sequence(finding, history) or draw(marks, lives(history)),
    }


def fact_json(fact: FactRef | None) -> dict[str, Any] | None:
    """A fact with its number; None when the finding has none."""
    return {"n": fact.n, "text": fact.text} if fact else None


def choose(finding: Finding, history: History) -> list[Fact]:
    """The facts for the timeline: those the finding names, then what explains them best."""
    named = {n for n in finding.rows if n > 0}
    named |= {f.n for f in (finding.first, finding.second) if f}
    if not named:
        return []
    first = min(named)
    candidates = [
        (relevance(fact, finding), -abs(distance(fact.n, named)), fact.n)
        for fact in history
        if first <= fact.n <= max(named) and fact.n not in named
    ]
    best = sorted((c for c in candidates if c[0] > 0), reverse=True)[: MOST_ROWS - len(named)]
    wanted = sorted(named | {n for _, _, n in best})
    return [history.at(n) for n in wanted[:MOST_ROWS]]


def distance(n: int, named: Iterable[int]) -> int:
    """How far a fact lies from the nearest named one."""
    return min(abs(n - other) for other in named)


def relevance(fact: Fact, finding: Finding) -> int:
    """How much a fact explains of a finding: 0 nothing, 4 much."""
    match fact:
        case facts.Process(what=what):
            return 4 if what != "started" else 3
        case facts.Fault(what=what):
            return 4 if what in ("applied", "dropped", "released") else 0
        case facts.Left(by="grader"):
            return 3
        case facts.Sent(role="answer", key=id) if id in finding.ids[:1]:
            return 3
        case facts.Output(value=dict(value)) if is_about(value, finding):
            return 4
        case (
            facts.Sent(id=id)
            | facts.Effect(id=id)
            | facts.Marked(id=id)
            | facts.Performed(subject=id)
            | facts.Call(id=id)
        ):
            return 4 if id in finding.ids[:2] else 0
        case facts.Asked():
            told = json.dumps([fact.path, fact.body, fact.answer])
            return 3 if any(id in told for id in finding.ids[:2]) else 0
        case facts.Fetched():
            return 3 if any(fact.hands_out(*p.lane, p.offset) for p in finding.places) else 0
        case facts.Commit():
            return 2 if any(touches(fact, place) for place in finding.places) else 0
        case facts.Assigned(partitions=partitions):
            lanes = [tuple(lane) for lane in partitions]
            return 2 if any(place.lane in lanes for place in finding.places) else 0
        case facts.Phase(name="aftershock") | facts.Refused():
            return 2
    return 0


def is_about(value: dict[str, Any], finding: Finding) -> bool:
    """Whether what the program wrote names what a finding is about."""
    return any(id in value.values() for id in finding.ids[:1])


def touches(commit: facts.Commit, place: Place) -> bool:
    """Whether a commit stands at a record or right behind it, or failed in its lane."""
    near = 0 <= commit.offset - place.offset <= 1 or commit.outcome != "accepted"
    return (commit.topic, commit.partition) == place.lane and near


def row_of(fact: Fact, finding: Finding) -> Row:
    """A fact as a line of the timeline."""
    source, text = describe(fact)
    badge = 1 if finding.first and fact.n == finding.first.n else None
    if finding.second and fact.n == finding.second.n:
        badge = badge or 2
    return Row(fact.n, round(fact.t, 3), source, text, is_ours(fact), badge)


def is_ours(fact: Fact) -> bool:
    """Whether the grader did it to the program."""
    ours = ("killed", "frozen", "thawed", "terminated")
    return (
        isinstance(fact, facts.Fault)
        or (isinstance(fact, facts.Process) and fact.what in ours)
        or (isinstance(fact, facts.Left | facts.Ended) and fact.by == "grader")
    )


@singledispatch
def describe(fact: Fact) -> tuple[str, str]:
    """Where a fact comes from, and what it says."""
    return facts.NAMES[type(fact)], ""


@describe.register
def _(fact: facts.ScenarioBegan) -> tuple[str, str]:
    return "grader", f"the scenario {fact.scenario} begins"


@describe.register
def _(fact: facts.Story) -> tuple[str, str]:
    return "grader", fact.text


@describe.register
def _(fact: facts.Phase) -> tuple[str, str]:
    names = {
        "aftershock": "all instances are to be stopped and started again",
        "settle": "waits for quiet",
        "drain": "reads the topics to their end",
    }
    return "grader", names.get(fact.name, fact.name)


@describe.register
def _(fact: facts.Sent) -> tuple[str, str]:
    if fact.role == "answer" and "status" in fact.value:
        return str(fact.value.get("service")), (
            f"replies {fact.value['status']} to {fact.value.get('action')} of {fact.key} "
            f"(command {fact.value.get('command')})"
        )
    again = {
        "duplicate": ", again",
        "sentinel": ", as a last event",
        "answer": ", as an answer",
    }.get(fact.role, "")
    return "grader", f"sent {fact.id} to {at(fact.topic, fact.partition, fact.offset)}{again}"


@describe.register
def _(fact: facts.Record) -> tuple[str, str]:
    return "log", f"{at(fact.topic, fact.partition, fact.offset)} holds {fact.id}"


@describe.register
def _(fact: facts.Process) -> tuple[str, str]:
    words = {
        "killed": "killed (SIGKILL)",
        "terminated": "told to stop (SIGTERM)",
        "overdue": "is still there when its grace is over",
        "frozen": "frozen (SIGSTOP)",
        "thawed": "goes on (SIGCONT)",
        "restarted": "started again after it ended by itself",
        "abandoned": f"given up: {fact.reason}",
    }
    text = words.get(fact.what, fact.what)
    if fact.what in ("exited", "stopped"):
        how = f"signal {fact.signal}" if fact.signal is not None else f"code {fact.code}"
        text = f"{'ended by itself' if fact.what == 'exited' else 'stopped'} with {how}"
    last = f', last words: "{fact.output[-1]}"' if fact.output else ""
    return fact.instance, text + last


@describe.register
def _(fact: facts.Connection) -> tuple[str, str]:
    return fact.instance, f"connection to {fact.service} {fact.what}"


@describe.register
def _(fact: facts.Joined) -> tuple[str, str]:
    return fact.instance, f"joins the group (generation {fact.generation})"


@describe.register
def _(fact: facts.Assigned) -> tuple[str, str]:
    lanes = ", ".join(lane_name((topic, partition)) for topic, partition in fact.partitions)
    return fact.instance, f"owns {lanes or 'nothing'} (generation {fact.generation})"


@describe.register
def _(fact: facts.Left) -> tuple[str, str]:
    if fact.by == "grader":
        return fact.instance, "its session expires: the group has forgotten it"
    return fact.instance, "leaves the group"


@describe.register
def _(fact: facts.Fetched) -> tuple[str, str]:
    name = lane_name((fact.topic, fact.partition))
    last = f"..{fact.last}" if fact.last != fact.first else ""
    return fact.instance, f"was handed {name}@{fact.first}{last}"


@describe.register
def _(fact: facts.Commit) -> tuple[str, str]:
    name = lane_name((fact.topic, fact.partition))
    how = "" if fact.outcome == "accepted" else f": {fact.error or 'no answer seen'}"
    return fact.instance, f"commits {name} at {fact.offset}{how}"


@describe.register
def _(fact: facts.Produced) -> tuple[str, str]:
    name = lane_name((fact.topic, fact.partition))
    how = " in its transaction" if fact.transactional else ""
    return fact.instance, f"writes {fact.count} record(s) to {name}{how}"


@describe.register
def _(fact: facts.Producer) -> tuple[str, str]:
    if fact.outcome != "accepted":
        return fact.instance, f"asks for a producer id: {fact.error or 'no answer seen'}"
    whose = f" of {fact.transactional_id[:MOST_CHARS]}" if fact.transactional_id else ""
    return fact.instance, f"is producer {fact.producer_id}{whose}, epoch {fact.epoch}"


@describe.register
def _(fact: facts.Enlisted) -> tuple[str, str]:
    lanes = ", ".join(lane_name((topic, partition)) for topic, partition in fact.partitions)
    how = "" if fact.outcome == "accepted" else f": {fact.error or 'no answer seen'}"
    return fact.instance, f"takes {lanes} into its transaction{how}"


@describe.register
def _(fact: facts.Ended) -> tuple[str, str]:
    if fact.by == "grader":
        return fact.instance, "its transaction times out: it is aborted"
    how = "" if fact.outcome == "accepted" else f": {fact.error or 'no answer seen'}"
    return fact.instance, f"{'commits' if fact.committed else 'aborts'} its transaction{how}"


@describe.register
def _(fact: facts.Refused) -> tuple[str, str]:
    return fact.instance, f"asks for {fact.api} and is refused: {fact.why}"


@describe.register
def _(fact: facts.Call) -> tuple[str, str]:
    which = f" for {fact.id[:MOST_CHARS]}" if fact.id else ""
    again = f", call number {fact.number}" if fact.number > 1 else ""
    ends = {
        "served": f": {fact.status}",
        "failed": f": {fact.status}, the service never sees it",
        "lost": ": it never reaches the service",
        "abandoned": ": given up before the service saw it",
    }
    path = fact.path[:MOST_CHARS]
    end = ends.get(fact.outcome, fact.outcome)
    return fact.instance, f"calls {fact.service} {path}{which}{again}{end}"


@describe.register
def _(fact: facts.Answered) -> tuple[str, str]:
    return fact.instance, f"hears {fact.status} from {fact.service}"


@describe.register
def _(fact: facts.Unanswered) -> tuple[str, str]:
    return fact.instance, f"gets no answer from {fact.service} to {fact.call}"


@describe.register
def _(fact: facts.Asked) -> tuple[str, str]:
    said = f"{fact.status} {json.dumps(fact.answer)}" if fact.status else f"no answer: {fact.error}"
    sent = "" if fact.body is None else f" {json.dumps(fact.body)}"
    question = shorten(f"{fact.method} {fact.path}{sent}", 60)
    return fact.instance, shorten(f"asked {question}, says {said}")


@describe.register
def _(fact: facts.Fault) -> tuple[str, str]:
    whose = f" of {fact.instance}" if fact.instance else ""
    words = {"applied": "", "released": " let go", "dropped": " dropped for good"}
    what = words.get(fact.what, f" {fact.what}")
    return "fault", f"{fact.action}: {fact.target}{whose}{what}"


@describe.register
def _(fact: facts.Effect) -> tuple[str, str]:
    values = ", ".join(str(value) for value in fact.content.values())
    place = "database" if fact.partition is None else "log"
    return fact.instance or ("grader" if fact.ours else place), f"{fact.spot}: {fact.id} ({values})"


@describe.register
def _(fact: facts.Marked) -> tuple[str, str]:
    values = ", ".join(str(value) for value in fact.content.values())
    return fact.instance or "database", f"marks in {fact.table}: {fact.id} ({values})"


@describe.register
def _(fact: facts.Output) -> tuple[str, str]:
    return fact.instance or "log", (
        f"{fact.topic}-{fact.partition}@{fact.offset}: {said(fact.value)}"
    )


def said(value: Any) -> str:
    """A record's value: a command or an event as a sentence, anything else as JSON."""
    if isinstance(value, dict) and {"action", "order", "id"} <= value.keys():
        undone = f", undoes {value['undoes']}" if "undoes" in value else ""
        return shorten(f"{value['action']} of {value['order']} (command {value['id']}{undone})")
    if isinstance(value, dict) and {"type", "event_id", "causation_id"} <= value.keys():
        answers = f"{value['event_id']}, in answer to {value['causation_id']}"
        return shorten(f"{value['type']} ({answers})")
    return shorten(json.dumps(value))


@describe.register
def _(fact: facts.Performed) -> tuple[str, str]:
    how = "" if fact.outcome == "done" else f", {fact.outcome}"
    values = ", ".join(str(value) for value in fact.content.values())
    return fact.participant, f"{fact.action} {fact.subject} ({values}){how}"


@describe.register
def _(fact: facts.State) -> tuple[str, str]:
    return "database", f"{fact.table} holds {len(fact.rows)} rows at the end"


@describe.register
def _(fact: facts.Settled) -> tuple[str, str]:
    if fact.quiet and not fact.missing:
        return "grader", "everything is committed and at rest"
    return "grader", f"gives up waiting: {'; '.join(fact.unmet)}"


@describe.register
def _(fact: facts.Projected) -> tuple[str, str]:
    row = "no row" if fact.row is None else json.dumps(fact.row)
    return "log", shorten(f"what answer #{fact.asked} names adds up to {row}")


@describe.register
def _(fact: facts.Waited) -> tuple[str, str]:
    done = len(fact.ids) - len(fact.missing)
    return "grader", f"{done} of {len(fact.ids)} events done beside it in {fact.waited_s:.1f} s"


@describe.register
def _(fact: facts.Idle) -> tuple[str, str]:
    return fact.instance, f"used {fact.cpu_s:.1f} s of CPU in {fact.waited_s:.1f} s without work"


@describe.register
def _(fact: facts.Stall) -> tuple[str, str]:
    return "grader", f"stood still for {fact.drift_s:.1f} s"


@describe.register
def _(fact: facts.Aborted) -> tuple[str, str]:
    return "grader", f"the scenario ends early: {fact.detail}"


def at(topic: str, partition: int, offset: int | None) -> str:
    """A record's place as people write it."""
    return f"{short_topic(topic)}-{partition}@{'?' if offset is None else offset}"


SHAPES: dict[type[Fact], str] = {
    facts.Sent: "sent",
    facts.Fetched: "fetched",
    facts.Effect: "effect",
    facts.Marked: "commit",
    facts.Output: "effect",
    facts.Performed: "effect",
    facts.Commit: "commit",
    facts.Assigned: "owns",
    facts.Joined: "owns",
    facts.Left: "left",
    facts.Fault: "fault",
    facts.Refused: "refused",
    facts.Call: "call",
    facts.Asked: "asked",
}


def mark_of(fact: Fact, row: Row) -> Mark:
    """A row as it is drawn: in the lane of its instance, or in the grader's."""
    instance = getattr(fact, "instance", getattr(fact, "participant", None))
    shape = fact.what if isinstance(fact, facts.Process) else SHAPES.get(type(fact), "note")
    return Mark(row.n, row.t, instance or "grader", shape, f"#{row.n} {row.text}", row.badge)
