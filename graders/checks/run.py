"""A history with the look-ups that several checks need. Nothing here judges."""

import functools
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

from graders.checks.finding import Place
from graders.choreography import Choreography
from graders.facts import (
    Aborted,
    Commit,
    Effect,
    Fault,
    Fetched,
    Joined,
    Phase,
    Process,
    Record,
    Sent,
    Settled,
    short_topic,
)
from graders.history import History

Lane = tuple[str, int]
T = TypeVar("T")


class Run:
    """One scenario's history, indexed. Lanes are (topic, partition). With a `group`, only what that
    group reads, commits and promises by its commits."""

    def __init__(self, history: History, group: str | None = None) -> None:
        self.history = history
        self.group = group

    @cached_property
    def by_group(self) -> list["Run"]:
        """The run as each group of the program sees it; the run itself when there is one group."""
        groups = self.history.began.groups if self.group is None else ()
        return [Run(self.history, group) for group in groups] or [self]

    @cached_property
    def choreography(self) -> Choreography:
        """What was announced, and what is owed."""
        return Choreography(self.history)

    @cached_property
    def instances(self) -> set[str]:
        """The instances that joined the group at some time."""
        return {joined.instance for joined in self.history.of(Joined) if self.is_of_group(joined)}

    def is_of_group(self, fact: Commit | Joined) -> bool:
        """Whether a fact is about the group, or there is but one."""
        return self.group in (None, fact.group)

    def reads(self, topic: str) -> bool:
        """Whether the group reads a topic, or there is but one group."""
        return self.group is None or topic in self.history.began.readers[self.group]

    def promises(self, table: str) -> bool:
        """Whether a commit says that an event's effect in a table is durable."""
        groups = self.history.began.groups
        return self.group is None or table in groups[self.group]["effects"]

    @cached_property
    def sent(self) -> list[Sent]:
        """What the grader sent, in order."""
        return [sent for sent in self.history.of(Sent) if self.reads(sent.topic)]

    @cached_property
    def first_sent(self) -> dict[str, Sent]:
        """By event id, the first time it was sent."""
        found: dict[str, Sent] = {}
        for sent in self.sent:
            found.setdefault(sent.id, sent)
        return found

    @cached_property
    def drained(self) -> bool:
        """Whether the topics were read to their end after the run."""
        return any(p.name == "drain" for p in self.history.of(Phase))

    @cached_property
    def out_of_place(self) -> list[Sent]:
        """Acknowledged events that the log does not hold where the broker said."""
        held = {(r.topic, r.partition, r.offset, r.id) for r in self.history.of(Record)}
        acknowledged = [s for s in self.sent if s.outcome == "ok"]
        return [s for s in acknowledged if (s.topic, s.partition, s.offset, s.id) not in held]

    @cached_property
    def log_is_known(self) -> bool:
        """Whether the topics were read to their end and held everything that was acknowledged;
        only then can anything be concluded from what is not in them."""
        return self.drained and not self.out_of_place

    @cached_property
    def records(self) -> dict[Lane, list[Record]]:
        """Visible records of each lane by offset."""
        lanes: dict[Lane, list[Record]] = defaultdict(list)
        for record in self.history.of(Record):
            lanes[record.topic, record.partition].append(record)
        return lanes

    def end_of(self, lane: Lane) -> int:
        """Where a lane ended: behind its last visible record, or further on where a transaction's
        end, or records that were aborted, took offsets too."""
        drains = [p for p in self.history.of(Phase) if p.name == "drain"]
        ends = [end for p in drains for *at, end in p.ends if tuple(at) == lane]
        return max([*ends, *(r.offset + 1 for r in self.records.get(lane, ()))], default=0)

    @cached_property
    def places(self) -> dict[str, list[Place]]:
        """By event id, where its visible records lie."""
        found: dict[str, list[Place]] = defaultdict(list)
        for lane, records in self.records.items():
            for record in records:
                if record.id is not None:
                    found[record.id].append(Place(*lane, record.offset))
        return found

    @cached_property
    def effects(self) -> dict[tuple[str, str], list[Effect]]:
        """The program's effects by (table, event id), in the order of their commits."""
        found: dict[tuple[str, str], list[Effect]] = defaultdict(list)
        for effect in self.history.of(Effect):
            if self.promises(effect.table) and not effect.ours:
                found[effect.table, effect.id].append(effect)
        return found

    @cached_property
    def commits(self) -> dict[Lane, list[Commit]]:
        """Accepted commits by lane, in order."""
        found: dict[Lane, list[Commit]] = defaultdict(list)
        for commit in self.history.of(Commit):
            if commit.outcome == "accepted" and self.is_of_group(commit):
                found[commit.topic, commit.partition].append(commit)
        return found

    @cached_property
    def fetches(self) -> dict[Lane, list[Fetched]]:
        """What was handed to the program, by lane."""
        found: dict[Lane, list[Fetched]] = defaultdict(list)
        for fetch in self.history.of(Fetched):
            if self.group is None or fetch.instance in self.instances:
                found[fetch.topic, fetch.partition].append(fetch)
        return found

    @cached_property
    def missing(self) -> list[tuple[str, str]]:
        """(table, event id) of every visible event that lacks an effect it must have."""
        return [
            (table, id)
            for id, sent in self.first_sent.items()
            if id in self.places
            for table in sent.expect
            if not self.effects.get((table, id))
        ]

    @cached_property
    def dead_letters(self) -> frozenset[str]:
        """The dead-letter topics."""
        return frozenset(self.history.began.dead_letters)

    def dead_lettered(self, id: str) -> list[Effect]:
        """An event's records in dead-letter topics, in order."""
        return [e for e in self.effect_rows(id) if e.table in self.dead_letters]

    @cached_property
    def written_topics(self) -> frozenset[str]:
        """The challenge's names of the topics that the program writes."""
        return frozenset(short_topic(topic) for topic in self.history.began.outputs)

    @cached_property
    def settled(self) -> Settled | None:
        """The last wait for quiet; None when the run did not get so far."""
        return self.history.last(Settled)

    @cached_property
    def rest(self) -> Settled | None:
        """The last time the run was known to be quiet: everything sent until then lay before the
        group's position; None when it never was."""
        quiet = [settled for settled in self.history.of(Settled) if settled.quiet]
        return quiet[-1] if quiet and self.log_is_known else None

    @cached_property
    def quiet(self) -> bool:
        """Whether everything sent was dealt with at the end, as far as waiting can tell."""
        return self.rest is not None and self.rest is self.settled

    @cached_property
    def aborted(self) -> Aborted | None:
        """Why the scenario ended early; None when it did not."""
        return self.history.last(Aborted)

    @cached_property
    def aftershock(self) -> int | None:
        """Number of the fact at which the aftershock began; None when there was none."""
        found = [p.n for p in self.history.of(Phase) if p.name == "aftershock"]
        return found[0] if found else None

    def fetch_of(self, place: Place, before: int | None = None) -> Fetched | None:
        """The first fetch that handed out a record (before fact number `before`)."""
        for fetch in self.fetches.get(place.lane, ()):
            if fetch.first <= place.offset <= fetch.last:
                return fetch if before is None or fetch.n < before else None
        return None

    def commit_past(self, place: Place) -> Commit | None:
        """The first accepted commit beyond a record; None when there is none."""
        return next((c for c in self.commits.get(place.lane, ()) if c.offset > place.offset), None)

    def effect_rows(self, id: str) -> list[Effect]:
        """All effects of an event, in any table, in order."""
        found = [e for (_, of), effects in self.effects.items() if of == id for e in effects]
        return sorted(found, key=lambda e: e.n)

    @cached_property
    def breaks(self) -> list[Process]:
        """When instances were killed or frozen or ended by themselves, until the last wait for
        quiet was over. After it the grader kills what is left, which breaks nothing."""
        over = self.settled.n if self.settled else len(self.history)
        ends = ("killed", "frozen", "exited")
        return [p for p in self.history.of(Process) if p.what in ends and p.n < over]


def each_group(find: Callable[[Run], Iterator[T]]) -> Callable[[Run], Iterator[T]]:
    """What a check finds when it is asked about each group of the program by itself."""

    @functools.wraps(find)
    def find_in_each(run: Run) -> Iterator[T]:
        for view in run.by_group:
            yield from find(view)

    return find_in_each


def refusal_before(run: Run, id: str, n: int) -> Fault | None:
    """The grader's first refusal of a row about an event, before fact `n`."""
    refusals = (f for f in run.history.of(Fault) if id in f.row.values())
    refused = (f for f in refusals if f.what == "applied" and f.action.startswith("fail"))
    return next((fault for fault in refused if fault.n < n), None)


def refusal_of(run: Run, id: str) -> Fault | None:
    """The grader's first refusal of a row about an event, whenever it was."""
    return refusal_before(run, id, len(run.history))


def ends_of_holds(run: Run, table: str, subject: str) -> list[Fault]:
    """Where the grader let go of rows of a table about a subject that it had held back."""
    mine = [
        fault
        for fault in run.history.of(Fault)
        if fault.action == "hold" and table in fault.target and subject in fault.row.values()
    ]
    applied = {fault.fault for fault in mine if fault.what == "applied"}
    ends = ("released", "dropped")
    return [fault for fault in mine if fault.what in ends and fault.fault in applied]


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal; 12 equals 12.0, but True does not equal 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def differs(row: Any, expected: Any) -> list[str]:
    """Names of the expected columns whose value in the row is another."""
    return [name for name, value in expected.items() if not same(row.get(name), value)]
