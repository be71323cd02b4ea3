"""What a history tells of each saga, for the checks of family SAG. Nothing here judges."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from graders.checks.run import Run
from graders.facts import (
    Assigned,
    Effect,
    Fact,
    Fault,
    Fetched,
    Joined,
    Left,
    Output,
    Performed,
    Process,
    Sent,
    Settled,
)
from graders.spec import SagaSpec, SagaStep

COMPLETED, CANCELLED = "completed", "cancelled"
BREAKS = ("killed", "exited", "frozen", "terminated", "restarted")


@dataclass
class Saga:
    """One order's saga: when it was sent, and all that was done about it, in order."""

    id: str
    steps: tuple[SagaStep, ...]
    sent: list[Sent] = field(default_factory=list)
    commands: list[Output] = field(default_factory=list)
    deeds: list[Performed] = field(default_factory=list)
    replies: list[Sent] = field(default_factory=list)
    outcomes: list[Effect] = field(default_factory=list)

    @cached_property
    def undos(self) -> list[Output]:
        """The commands that undo something."""
        undos = {step.undo for step in self.steps if step.undo}
        return [c for c in self.commands if told(c, "action") in undos]

    @property
    def pivot(self) -> int:
        """The place of the pivot among the steps."""
        return next(i for i, step in enumerate(self.steps) if step.pivot)

    @property
    def turn(self) -> Output | Effect | None:
        """Where the program turned back: the first undo, or else that it called it cancelled."""
        if self.undos:
            return self.undos[0]
        return next((o for o in self.outcomes if o.content.get("outcome") == CANCELLED), None)

    def asked(self, action: str) -> list[Output]:
        """The commands for an action."""
        return [c for c in self.commands if told(c, "action") == action]

    def done(self, action: str, outcome: str = "done") -> list[Performed]:
        """What a participant did of an action (or refused...)."""
        return [d for d in self.deeds if (d.action, d.outcome) == (action, outcome)]

    def settled(self, undo: str) -> list[Performed]:
        """What a participant did of an undo, also when there was nothing to take back."""
        return [d for d in self.deeds if d.action == undo and d.outcome in ("done", "ignored")]

    def in_force(self, step: SagaStep) -> list[Performed]:
        """What was done for a step and never undone."""
        return self.done(step.action)[len(self.done(step.undo)) if step.undo else 0 :]

    def replied(self, command: str) -> Sent | None:
        """The first reply that a command was done."""
        found = (r for r in self.replies if r.value.get("command") == command)
        return next((r for r in found if r.value.get("status") == "done"), None)


class Sagas:
    """All sagas of a run, by the id of what began them; `strays` are commands for no such thing.
    There are none in a challenge without sagas."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.spec = spec_of(run.history.began.saga or {})
        self.by_id: dict[str, Saga] = {}
        self.strays: list[Output] = []
        for fact in run.history if self.spec.steps else ():
            self._take(fact)

    def __iter__(self) -> Iterator[Saga]:
        return iter(self.by_id.values())

    def _take(self, fact: Fact) -> None:
        match fact:
            case Sent(role="answer"):
                if saga := self.by_id.get(str(fact.value.get("order"))):
                    saga.replies.append(fact)
            case Sent():
                new = Saga(fact.id, self.spec.steps)
                self.by_id.setdefault(fact.id, new).sent.append(fact)
            case Output():
                saga = self.by_id.get(told(fact, "order") or "")
                (saga.commands if saga else self.strays).append(fact)
            case Performed(subject=id) if id in self.by_id:
                self.by_id[id].deeds.append(fact)
            case Effect(table=self.spec.outcomes, id=id) if id in self.by_id:
                self.by_id[id].outcomes.append(fact)

    @cached_property
    def owners(self) -> dict[str, Saga]:
        """By command id, the saga whose command it is."""
        found: dict[str, Saga] = {}
        for saga in self:
            for command in saga.commands:
                found.setdefault(told(command, "id") or "", saga)
        return found

    @cached_property
    def breaks(self) -> list[Fact]:
        """Whatever excuses a program for writing a record again: an instance ended, was frozen or
        stopped, a fault was applied, partitions changed hands."""
        return [fact for fact in self.run.history if is_break(fact)]

    def was_broken(self, saga: Saga, before: int) -> bool:
        """Whether anything of that came after the saga was taken up, and before a fact."""
        began = self.taken_up(saga).n
        return any(began < fact.n < before for fact in self.breaks)

    def taken_up(self, saga: Saga) -> Fetched | Sent:
        """When the saga could begin: its first record was handed to the program."""
        places = self.run.places.get(saga.id, ())
        fetches = [fetch for place in places if (fetch := self.run.fetch_of(place))]
        return min(fetches, key=lambda fetch: fetch.n, default=saga.sent[0])

    def rest_after(self, n: int) -> Settled | None:
        """The first time that the run was known to be quiet after a fact."""
        return next((s for s in self.run.history.of(Settled) if s.quiet and s.n > n), None)


@lru_cache(maxsize=2)
def sagas_of(run: Run) -> Sagas:
    """The sagas of a run; one index serves all checks."""
    return Sagas(run)


def spec_of(data: Any) -> SagaSpec:
    """The saga's description as a history holds it."""
    steps = [SagaStep(**{**step, "moves": tuple(step["moves"])}) for step in data.get("steps", ())]
    return SagaSpec(data.get("outcomes", ""), data.get("overdue_s", 0.0), tuple(steps))


def told(command: Output, name: str) -> str | None:
    """A text in a command; None when it is missing or no text."""
    value = command.value.get(name) if isinstance(command.value, dict) else None
    return value if isinstance(value, str) else None


def is_break(fact: Fact) -> bool:
    """Whether a fact is an interruption; see `Sagas.breaks`."""
    match fact:
        case Process(what=what):
            return what in BREAKS
        case Fault(what=what):
            return what == "applied"
        case Assigned() | Joined() | Left():
            return True
    return False
