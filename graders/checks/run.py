"""A history with the look-ups that several checks need. Nothing here judges."""

from collections import defaultdict
from functools import cached_property
from typing import Any

from graders.checks.finding import Place, short_topic
from graders.facts import (
    Aborted,
    Commit,
    Effect,
    Fetched,
    Phase,
    Process,
    Record,
    Sent,
    Settled,
)
from graders.history import History

Lane = tuple[str, int]


class Run:
    """One scenario's history, indexed. Lanes are (topic, partition)."""

    def __init__(self, history: History) -> None:
        self.history = history

    @cached_property
    def sent(self) -> list[Sent]:
        """What the grader sent, in order."""
        return self.history.of(Sent)

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
        """Effects by (table, event id), in the order of their commits."""
        found: dict[tuple[str, str], list[Effect]] = defaultdict(list)
        for effect in self.history.of(Effect):
            found[effect.table, effect.id].append(effect)
        return found

    @cached_property
    def commits(self) -> dict[Lane, list[Commit]]:
        """Accepted commits by lane, in order."""
        found: dict[Lane, list[Commit]] = defaultdict(list)
        for commit in self.history.of(Commit):
            if commit.outcome == "accepted":
                found[commit.topic, commit.partition].append(commit)
        return found

    @cached_property
    def fetches(self) -> dict[Lane, list[Fetched]]:
        """What was handed to the program, by lane."""
        found: dict[Lane, list[Fetched]] = defaultdict(list)
        for fetch in self.history.of(Fetched):
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

    def was_broken(self) -> bool:
        """Whether any instance was killed, frozen or ended by itself."""
        ends = {"killed", "frozen", "exited"}
        return any(p.what in ends for p in self.history.of(Process))


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal; 12 equals 12.0, but True does not equal 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def differs(row: Any, expected: Any) -> list[str]:
    """Names of the expected columns whose value in the row is another."""
    return [name for name, value in expected.items() if not same(row.get(name), value)]
