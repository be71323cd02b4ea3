"""The model as data: what is asked, what is decided, and every number with its source.

A model is one JSON document (schemas/model.schema.json); `loading` makes these objects from it, and
resolves names to indexes on the way.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from decision_guide.conditions import Condition

MAX_ANSWERS = 5

CONFIDENCE = {
    "S": "read in the source",
    "M": "measured or computed",
    "R": "recalled, to be verified",
    "H": "heuristic without a good source",
    "X": "contested between sources",
}


@dataclass(frozen=True)
class Answer:
    """One allowed answer. `start` is the number from which it holds, None where words only.
    `share` is how often it is true of ordinary systems: the odds used while it is not known."""

    id: str
    label: str
    start: float | None
    share: float
    formerly: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """One question. `visible_if` None means always asked; else `otherwise` is the answer implied
    while it is not asked. `changes` tells whether the fact can change within a year."""

    id: str
    text: str
    unit: str | None
    answers: tuple[Answer, ...]
    why: str
    find_out: str
    group: str
    priority: str
    quick: bool
    changes: str
    visible_if: Condition | None
    otherwise: int | None
    formerly: tuple[str, ...] = ()

    @property
    def shares(self) -> tuple[float, ...]:
        """How often each answer is true of ordinary systems; they sum to 1."""
        return tuple(a.share for a in self.answers)

    def index(self, answer: str) -> int:
        """The position of an answer by its id; ValueError when there is none."""
        return [a.id for a in self.answers].index(answer)

    def at(self, number: float) -> int:
        """The position of the answer whose range holds the number."""
        starts = [a.start or 0 for a in self.answers]
        return max(i for i, start in enumerate(starts) if start <= number)

    def span(self, level: int) -> tuple[float, float]:
        """From (inclusive) and to (exclusive) of an answer's range; infinity for the last."""
        starts = [float(a.start or 0) for a in self.answers] + [float("inf")]
        return starts[level], starts[level + 1]


@dataclass(frozen=True)
class Cited:
    """Where a number or a rule comes from, and how sure it is (a letter of CONFIDENCE)."""

    source: tuple[str, ...]
    confidence: str


@dataclass(frozen=True)
class CitedNumber(Cited):
    value: float
    note: str = ""


@dataclass(frozen=True)
class Option:
    """One way to decide. `burden` orders options by what they cost to live with, 1 the least."""

    id: str
    label: str
    phrase: str
    summary: str
    burden: int
    pitfalls: tuple[str, ...]
    first_steps: tuple[str, ...]


@dataclass(frozen=True)
class Criterion(Cited):
    """One reason. `question` is an index, or None when it weighs the same for all answers;
    `values[option][answer]` is in 0..1, 1 the best that could be; `shares` are its answers'."""

    id: str
    title: str
    question: int | None
    weight: float
    why: str
    values: tuple[tuple[float, ...], ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Decision:
    """One decision with its options and criteria; the weights sum to 1."""

    id: str
    title: str
    problem: str
    options: tuple[Option, ...]
    criteria: tuple[Criterion, ...]

    def index(self, option: str) -> int:
        """The position of an option by its id; ValueError when there is none."""
        return [o.id for o in self.options].index(option)

    @functools.cached_property
    def weights(self) -> np.ndarray:
        return np.array([c.weight for c in self.criteria])

    @functools.cached_property
    def burdens(self) -> np.ndarray:
        return np.array([o.burden for o in self.options])

    @functools.cached_property
    def values(self) -> np.ndarray:
        """[criterion, option, level]. The last two levels are conditions.UNKNOWN (the mean, by the
        answers' shares) and conditions.NOT_APPLICABLE (0): both serve as indexes from the end."""
        table = np.zeros((len(self.criteria), len(self.options), MAX_ANSWERS + 2))
        for c, criterion in enumerate(self.criteria):
            rows = np.array(criterion.values)
            table[c, :, : rows.shape[1]] = rows
            table[c, :, -2] = rows @ np.array(criterion.shares)
        return table

    @functools.cached_property
    def asked(self) -> np.ndarray:
        """[criterion] index of its question; 0 for a constant, whose level is always 0."""
        return np.array([c.question or 0 for c in self.criteria])

    @functools.cached_property
    def constant(self) -> np.ndarray:
        return np.array([c.question is None for c in self.criteria])


Choice = tuple[int, int]
"""An option, as (decision index, option index)."""


@dataclass(frozen=True)
class Target:
    """What a rule speaks of: an option, or a design (`choice` None) such as content in messages."""

    name: str
    label: str
    choice: Choice | None


@dataclass(frozen=True)
class Knockout(Cited):
    """A rule above all scores: while `when` holds, its targets are excluded, or blocked until
    `mitigation` is in place."""

    id: str
    title: str
    when: Condition
    targets: tuple[Target, ...]
    kind: str
    mitigation: str | None
    why: str


@dataclass(frozen=True)
class Compatibility(Cited):
    """A rule between decisions: once `given` is chosen, options of later decisions are excluded."""

    id: str
    given: Choice
    excludes: tuple[Choice, ...]
    why: str


@dataclass(frozen=True)
class Claim(Cited):
    """A criterion of the customer's, in the customer's words, with the guide's own view of it."""

    id: str
    text: str
    says: str
    when: Condition
    view: str
    why: str


@dataclass(frozen=True)
class Dimension:
    """One dimension of the comparison of REST and events: a decision with these two options."""

    decision: Decision
    rest: str
    events: str


@dataclass(frozen=True)
class Risk(Cited):
    """A risk of what is recommended; `when` None means whatever the answers."""

    id: str
    text: str
    first_step: str
    targets: tuple[Target, ...]
    when: Condition | None


@dataclass(frozen=True)
class Monotone:
    """As the question's answers go from first to last, `favours` may only gain on `over`."""

    decision: int
    question: int
    favours: int
    over: int


@dataclass(frozen=True)
class Source:
    title: str
    organisation: str
    year: int | None
    url: str | None = None


@dataclass(frozen=True)
class Model:
    """A loaded model. `document` is the JSON it was made from; `hash` names that by content."""

    id: str
    version: str
    title: str
    hash: str
    adequate: CitedNumber
    questions: tuple[Question, ...]
    decisions: tuple[Decision, ...]
    knockouts: tuple[Knockout, ...]
    compatibility: tuple[Compatibility, ...]
    claims: tuple[Claim, ...]
    comparison: tuple[Dimension, ...]
    risks: tuple[Risk, ...]
    monotone: tuple[Monotone, ...]
    sources: Mapping[str, Source]
    estimates: Mapping[str, Any]
    document: Mapping[str, Any] = field(repr=False, compare=False)

    def question(self, id: str) -> int:
        """The position of a question by its id; ValueError when there is none."""
        return [q.id for q in self.questions].index(id)

    def decision(self, id: str) -> int:
        """The position of a decision by its id; ValueError when there is none."""
        return [d.id for d in self.decisions].index(id)

    @property
    def quick(self) -> tuple[Question, ...]:
        """The questions of the quick pass."""
        return tuple(q for q in self.questions if q.quick)
