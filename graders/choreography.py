"""A choreography, as a history tells it: what was announced about each subject, and what is owed.

An announcement is a record whose type the contract knows (`ChoreographySpec`), written by the
program or by the services that the grader plays. Records of other types are nobody's business here.
A step is owed when the announcements about its subject call for it, or when the local change that
it tells of is there, and nothing of the step has been announced.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graders.facts import Effect, Output, Sent
from graders.history import History
from graders.spec import AnnouncementSpec, ChoreographySpec

EVENT_ID, TYPE, CORRELATION, CAUSATION = "event_id", "type", "correlation_id", "causation_id"


@dataclass(frozen=True)
class Announcement:
    """A record of a type that the contract knows. `n` is the number of its fact, `topic` its name
    on the broker; `instance` None when nobody saw the program write it. `is_ours`: the grader's."""

    n: int
    subject: str
    key: str | None
    value: Mapping[str, Any]
    topic: str
    partition: int
    offset: int
    instance: str | None
    is_ours: bool

    @property
    def id(self) -> Any:
        """Its event id, as written."""
        return self.value.get(EVENT_ID)

    @property
    def type(self) -> str:
        """Its type."""
        return str(self.value[TYPE])

    @property
    def cause(self) -> Any:
        """The event id of its cause, as written."""
        return self.value.get(CAUSATION)

    @property
    def correlation(self) -> Any:
        """Its correlation id, as written."""
        return self.value.get(CORRELATION)


@dataclass(frozen=True)
class Owed:
    """A step that is owed to a subject: any one of `types` would do. `row`: the local change that
    was made and not announced; None when it is called for by announcements alone."""

    subject: str
    step: str
    types: tuple[str, ...]
    row: Effect | None = None

    def __str__(self) -> str:
        return f"{' or '.join(self.types)} of {self.subject}"


class Choreography:
    """The announcements of a history, by subject. Pure; empty without a contract."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.spec = ChoreographySpec.of(history.began.choreography)

    @cached_property
    def all(self) -> list[Announcement]:
        """Every announcement, in the order of the facts."""
        found = [*self._sent(), *self._written()]
        return sorted(found, key=lambda announcement: announcement.n)

    def _sent(self) -> Iterator[Announcement]:
        for sent in self.history.of(Sent):
            if self._is_known(sent.value) and sent.offset is not None:
                subject = str(sent.value.get(self.spec.subject))
                place = (sent.topic, sent.partition, sent.offset)
                yield Announcement(sent.n, subject, sent.key, sent.value, *place, None, True)

    def _written(self) -> Iterator[Announcement]:
        on_broker = self.history.began.on_broker
        for output in self.history.of(Output):
            if self._is_known(output.value):
                subject = str(output.value.get(self.spec.subject))
                place = (on_broker[output.topic], output.partition, output.offset)
                yield Announcement(
                    output.n, subject, output.key, output.value, *place, output.instance, False
                )

    def _is_known(self, value: Any) -> bool:
        return isinstance(value, Mapping) and value.get(TYPE) in self.spec.types

    @cached_property
    def by_subject(self) -> dict[str, list[Announcement]]:
        """The announcements about each subject that the grader began, in order."""
        begun = [a.subject for a in self.all if a.is_ours and a.type == self.spec.begins]
        found: dict[str, list[Announcement]] = {subject: [] for subject in begun}
        for announcement in self.all:
            if announcement.subject in found:
                found[announcement.subject].append(announcement)
        return found

    @cached_property
    def written(self) -> list[tuple[AnnouncementSpec, Announcement]]:
        """What the program announced, with the contract's word on it."""
        specs = {spec.type: spec for spec in self.spec.announcements}
        return [(specs[a.type], a) for a in self.all if not a.is_ours and a.type in specs]

    def denied(self, table: str, subject: str) -> Announcement | None:
        """What the program announced about a subject instead of a change of this table: another
        outcome of the same step. None when it announced none."""
        steps = {spec.step for spec in self.spec.announcements if spec.row == table}
        found = (
            announcement
            for spec, announcement in self.written
            if spec.step in steps and spec.row != table and announcement.subject == subject
        )
        return next(found, None)

    @cached_property
    def rows(self) -> dict[tuple[str, str], list[Effect]]:
        """Local changes by (table, subject)."""
        found: dict[tuple[str, str], list[Effect]] = defaultdict(list)
        for effect in self.history.of(Effect):
            found[effect.table, effect.id].append(effect)
        return found

    @cached_property
    def owed(self) -> list[Owed]:
        """The steps that are owed, in the order of the subjects' beginnings."""
        return [owed for subject in self.by_subject for owed in self._owed_to(subject)]

    def _owed_to(self, subject: str) -> Iterator[Owed]:
        told = {announcement.type for announcement in self.by_subject[subject]}
        steps: dict[str, list[AnnouncementSpec]] = defaultdict(list)
        for spec in self.spec.announcements:
            steps[spec.step].append(spec)
        for step, specs in steps.items():
            due = tuple(spec.type for spec in specs if spec.is_due(told))
            if due and not any(spec.type in told for spec in specs):
                yield Owed(subject, step, due)
            for spec in specs:
                rows = self.rows.get((spec.row, subject))
                if rows and spec.type not in (*told, *due):
                    yield Owed(subject, step, (spec.type,), rows[0])
