"""The picture of one unit of work: a sequence diagram, as an inline SVG.

Lanes stand side by side: the producer, each instance of the program, each participant, the topic of
outcomes. Time runs downward, one row for each thing that happened, evenly spaced, with the seconds
at the left. An arrow is a message: the order, a command, a reply. What a participant did stands in
its lane, what the grader did to the program goes through all lanes. An instance's line is solid
while its process runs, dotted while it is frozen, absent while there is none. Colours come from the
same classes as the timeline's picture.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from xml.sax.saxutils import escape

from graders import facts
from graders.checks import Finding
from graders.history import History
from graders.picture import Life, lives, state_at

GUTTER, LANE, ROW, HEAD, FOOT = 64, 134, 34, 40, 10
ARROW = 8
LABEL_CHARS = 26

MOST_ROWS = 26
PRODUCER, OUTCOMES = "orders", "outcomes"
COMMANDS = "-commands"

DEEDS = {
    "done": "{} done",
    "refused": "{} refused",
    "unavailable": "unavailable",
    "repeated": "known already",
    "ignored": "nothing to {}, barred",
}
TONES = {"done": "done", "refused": "refused", "repeated": "again"}
ENDS = {
    "killed": "killed",
    "exited": "ended by itself",
    "frozen": "frozen",
    "thawed": "goes on",
    "terminated": "told to stop",
    "overdue": "still there after its grace",
    "restarted": "started again",
    "started": "started",
}


@dataclass(frozen=True)
class Event:
    """A row: fact number, second, what it says. A message goes from a `lane` to a lane `to`; else
    the words stand in their lane. `tone` is "", "done", "refused", "again" or "fault"; `badge` 1 or
    2 for the two facts; `title` what a pointer reads."""

    n: int
    t: float
    lane: str
    text: str
    to: str = ""
    tone: str = ""
    badge: int | None = None
    title: str = ""


def sequence(finding: Finding, history: History) -> str:
    """The picture of the saga that a finding is about; an empty text when it is about none."""
    if not finding.ids or history.began.saga is None:
        return ""
    course = Course(history, finding.ids[0], finding.second.n if finding.second else 0)
    badges = {f.n: i for i, f in ((2, finding.second), (1, finding.first)) if f}
    events = [replace(e, badge=badges.get(e.n)) for e in course.events]
    return draw_sequence(course.subject, chosen(events), course.lanes, lives(history))


def chosen(events: Sequence[Event]) -> list[Event]:
    """As many events as fit: the two facts, then what is not a mere repetition, then the latest."""
    ranked = sorted(events, key=lambda e: (e.badge is None, e.tone == "again", -e.n))
    return sorted(ranked[:MOST_ROWS], key=lambda e: e.n)


class Course:
    """What a history tells about one unit of work, at least until a fact."""

    def __init__(self, history: History, subject: str, until: int) -> None:
        self.history = history
        self.subject = subject
        self.until = until

    @cached_property
    def lanes(self) -> list[str]:
        """The producer, the instances, the participants, the outcomes; all that take part."""
        used = {lane for event in self.events for lane in (event.lane, event.to) if lane}
        instances = dict.fromkeys(p.instance for p in self.history.of(facts.Process))
        met = (lane for event in self.events for lane in (event.lane, event.to))
        order = dict.fromkeys([PRODUCER, *instances, *met])
        return [lane for lane in order if lane in used - {OUTCOMES}] + [OUTCOMES]

    @cached_property
    def events(self) -> list[Event]:
        """The rows, from the first fact about the unit of work to the last one."""
        own = [event for fact in self.history for event in self._own(fact)]
        if not own:
            return []
        first, last = own[0].n, max(own[-1].n, self.until)
        ours = [e for fact in self.history if first < fact.n < last for e in interference(fact)]
        return sorted([*own, *ours], key=lambda event: event.n)

    def _own(self, fact: facts.Fact) -> Iterator[Event]:
        """The row of a fact that is about the unit of work."""
        match fact:
            case facts.Sent(role="answer", key=self.subject):
                yield self._reply(fact)
            case facts.Sent(id=self.subject):
                again = fact.role == "duplicate"
                yield Event(fact.n, fact.t, PRODUCER, "sent again" if again else "sent")
            case facts.Output() if about(fact.value, "order") == self.subject:
                yield self._command(fact)
            case facts.Performed(subject=self.subject):
                word = DEEDS.get(fact.outcome, fact.outcome).format(fact.action)
                tone = TONES.get(fact.outcome, "")
                title = f"{fact.participant}: {word} (command {fact.id})"
                yield Event(fact.n, fact.t, fact.participant, word, tone=tone, title=title)
            case facts.Effect(id=self.subject):
                word = str(next(iter(fact.content.values()), ""))
                yield Event(fact.n, fact.t, self._writer(fact.instance), word, to=OUTCOMES)
            case facts.Settled(n=self.until):
                yield Event(fact.n, fact.t, OUTCOMES, "no outcome", tone="refused")

    def _command(self, command: facts.Output) -> Event:
        action, id = about(command.value, "action"), about(command.value, "id")
        again = self._first[id] != command.n
        return Event(
            command.n,
            command.t,
            self._writer(command.instance),
            f"{action} again" if again else action,
            to=command.topic.removesuffix(COMMANDS),
            tone="again" if again else "",
            title=f"{action}, command {id}",
        )

    def _reply(self, reply: facts.Sent) -> Event:
        action, command = about(reply.value, "action"), about(reply.value, "command")
        title = f"{about(reply.value, 'status')}: reply to {action}, command {command}"
        return Event(
            reply.n,
            reply.t,
            about(reply.value, "service"),
            f"{action}: {about(reply.value, 'status')}",
            to=self._reader(reply),
            tone="" if command in self._first else "fault",
            title=title if command in self._first else f"{title}, which is not the program's",
        )

    @cached_property
    def _first(self) -> Mapping[str, int]:
        """By command id, where it was sent first."""
        found: dict[str, int] = {}
        for command in self.history.of(facts.Output):
            found.setdefault(about(command.value, "id"), command.n)
        return found

    def _reader(self, reply: facts.Sent) -> str:
        """The instance that was handed a reply first."""
        for fetch in self.history.of(facts.Fetched):
            if fetch.hands_out(reply.topic, reply.partition, reply.offset or 0):
                return fetch.instance
        return self._writer(None)

    def _writer(self, instance: str | None) -> str:
        """The instance that wrote something; the first one when nobody knows."""
        processes = self.history.of(facts.Process)
        return instance or (processes[0].instance if processes else "program")


def about(value: object, name: str) -> str:
    """A field of a record's value, as text; "" when there is none."""
    return str(value.get(name, "")) if isinstance(value, Mapping) else ""


def interference(fact: facts.Fact) -> Iterator[Event]:
    """The row of what happened to the program meanwhile."""
    match fact:
        case facts.Process(what=what) if what in ENDS:
            tone = "" if what in ("started", "restarted") else "fault"
            yield Event(fact.n, fact.t, fact.instance, ENDS[what], tone=tone)
        case facts.Fault(what="applied", instance=str(instance)):
            title = f"{fact.action}: {fact.target}"
            word = fact.action.replace("_", " ")
            yield Event(fact.n, fact.t, instance, word, tone="fault", title=title)
        case facts.Left(by="grader"):
            yield Event(fact.n, fact.t, fact.instance, "session expired", tone="fault")


def draw_sequence(
    subject: str, events: Sequence[Event], lanes: Sequence[str], lives: Sequence[Life]
) -> str:
    """The picture as an SVG element; an empty text when there is nothing to draw."""
    if not events:
        return ""
    width = GUTTER + LANE * len(lanes) + 12
    height = HEAD + ROW * len(events) + FOOT
    parts = [
        *(head(lanes, lane) for lane in lanes),
        *(line for lane in lanes for line in lifelines(events, lanes, lane, lives)),
        *(part for row, event in enumerate(events) for part in row_parts(row, event, lanes)),
    ]
    told = "; ".join(event.title or event.text for event in events)
    return (
        f'<svg class="picture sequence" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="seq-{events[0].n}-t '
        f'seq-{events[0].n}-d"><title id="seq-{events[0].n}-t">What happened about '
        f"{escape(subject)}, with lanes {escape(', '.join(lanes))}</title>"
        f'<desc id="seq-{events[0].n}-d">{escape(told)}</desc>{"".join(parts)}</svg>'
    )


def x(lanes: Sequence[str], lane: str) -> int:
    """The middle of a lane."""
    return GUTTER + LANE * lanes.index(lane) + LANE // 2


def y(row: int) -> int:
    """The line of a row."""
    return HEAD + ROW * row + ROW // 2 + 4


def head(lanes: Sequence[str], lane: str) -> str:
    """A lane's name in its box."""
    at, wide = x(lanes, lane), LANE - 16
    return (
        f'<rect class="head" x="{at - wide // 2}" y="4" width="{wide}" height="24" rx="4"/>'
        f'<text class="name" x="{at}" y="20">{escape(short(lane, 18))}</text>'
    )


def lifelines(
    events: Sequence[Event], lanes: Sequence[str], lane: str, lives: Sequence[Life]
) -> list[str]:
    """A lane's line, piece by piece: as the process was, or throughout where there is none."""
    story = [(n, what) for n, instance, what in lives if instance == lane]
    if not story:
        return [piece(x(lanes, lane), 28, y(len(events) - 1) + ROW // 2, "runs service")]
    states = [state_at(story, events[0].n - 1)] + [state_at(story, e.n) for e in events]
    tops = [28] + [y(row) for row in range(len(events))]
    bottoms = [y(row) for row in range(len(events))] + [y(len(events) - 1) + ROW // 2]
    return [
        piece(x(lanes, lane), top, bottom, state)
        for state, top, bottom in zip(states, tops, bottoms, strict=True)
        if state
    ]


def piece(at: int, top: int, bottom: int, state: str) -> str:
    """A piece of a lane's line."""
    return f'<path class="life {state}" d="M{at} {top}V{bottom}"/>'


def row_parts(row: int, event: Event, lanes: Sequence[str]) -> list[str]:
    """A row: its second and number, and the message or the words."""
    at = y(row)
    parts = [
        f'<text class="second" x="{GUTTER - 10}" y="{at}">{event.t:.2f} s</text>',
        f'<text class="number" x="{GUTTER - 10}" y="{at + 11}">#{event.n}</text>',
    ]
    if event.tone == "fault":
        parts.append(through(at, lanes))
    drawn = message(event, lanes, at) if event.to else words(event, lanes, at)
    title = f"<title>#{event.n} {escape(event.title or event.text)}</title>"
    return [*parts, f'<g class="step {event.tone}">{title}{drawn}</g>']


def through(at: int, lanes: Sequence[str]) -> str:
    """The line of what the grader did, through all lanes."""
    return f'<path class="through" d="M{GUTTER} {at}H{GUTTER + LANE * len(lanes)}"/>'


def message(event: Event, lanes: Sequence[str], at: int) -> str:
    """An arrow from lane to lane with its words above."""
    start, end = x(lanes, event.lane), x(lanes, event.to)
    back = ARROW if end < start else -ARROW
    tip = f"M{end + back} {at - 4}L{end} {at}L{end + back} {at + 4}"
    near = start + (LANE // 2 if end > start else -LANE // 2)
    return (
        f'<path class="arrow" d="M{start} {at}H{end}{tip}"/>'
        f"{text(near, at - 6, event.text)}{badge(event, near, at - 10)}"
    )


def words(event: Event, lanes: Sequence[str], at: int) -> str:
    """Words in their lane, on a plate that covers its line."""
    middle = x(lanes, event.lane)
    wide = min(LANE - 8, 7 * len(short(event.text)) + 14)
    return (
        f'<rect class="plate" x="{middle - wide / 2}" y="{at - 11}" '
        f'width="{wide}" height="20" rx="10"/>'
        f"{text(middle, at + 3, event.text)}{badge(event, middle + wide / 2, at - 10)}"
    )


def text(at: float, line: float, words: str) -> str:
    """Centred words."""
    return f'<text class="says" x="{at}" y="{line}">{escape(short(words))}</text>'


def badge(event: Event, at: float, line: float) -> str:
    """The number of one of the two facts; nothing for other rows."""
    if not event.badge:
        return ""
    beside = at if not event.to else at + 3.5 * len(short(event.text)) + 12
    return (
        f'<g class="badge"><circle cx="{beside}" cy="{line}" r="8"/>'
        f'<text x="{beside}" y="{line + 3.5}">{event.badge}</text></g>'
    )


def short(words: str, most: int = LABEL_CHARS) -> str:
    """Words that fit into a lane."""
    return words if len(words) <= most else words[: most - 1] + "…"
