"""What an evaluation found: plain records, named by the ids of the model, ready for JSON.

Shares are of the draws, scores in 0..1, and a contribution's amounts sum to the gap it explains.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from decision_guide.answers import Answers
from decision_guide.model import Model

FORMAT = "offsetzero-guide-result/1"
DECIMALS = 9
"""Decimals of a number in a document. The last digits of a float depend on the processor (numpy
and its BLAS sum in another order on each kind); nine are the tolerance within which scores tie."""


@dataclass(frozen=True)
class Reason:
    """One criterion's part in the gap between two options: weight x (value - rival's value)."""

    criterion: str
    title: str
    question: str | None
    answer: str
    weight: float
    value: float
    rival_value: float
    amount: float
    why: str
    source: tuple[str, ...]
    confidence: str


@dataclass(frozen=True)
class Versus:
    """Why one option beats another: `gap` is the difference of their scores, and what the reasons
    sum to. The gap is negative where a rule, not the score, decided."""

    rival: str
    gap: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class OptionResult:
    """One option. `low` and `high` bound the score over everything the unknown answers may be.
    `status` is clear, blocked (until a mitigation) or excluded; `by` names the rules.
    `first` and `first_free` are the shares of draws in which it was chosen, with weights near the
    model's and with free weights; `ranks` the shares of draws with each rank; `central` the
    typical free weights of those who would choose it, None when no draw did."""

    id: str
    label: str
    score: float
    low: float
    high: float
    status: str
    by: tuple[str, ...]
    first: float
    first_free: float
    ranks: tuple[float, ...]
    central: dict[str, float] | None


@dataclass(frozen=True)
class WeightRange:
    """The weights of one criterion, the others in proportion, at which the option stays first;
    low above high: no weight of this criterion alone makes it first."""

    criterion: str
    weight: float
    low: float
    high: float


@dataclass(frozen=True)
class ChangeResult:
    """One question answered otherwise; `before` is None when it was open."""

    question: str
    before: str | None
    after: str
    changes: str


@dataclass(frozen=True)
class FlipResult:
    """Answers that would move the decision to another option; None: to no option at all."""

    to: str | None
    changes: tuple[ChangeResult, ...]


@dataclass(frozen=True)
class Mitigable:
    """A blocked option that would be chosen once its mitigations are in place."""

    option: str
    mitigations: tuple[str, ...]


@dataclass(frozen=True)
class DecisionResult:
    """One decision. `recommended` is None when every option is excluded. `conditions` are the
    mitigations the recommendation depends on, when no clear option is left. `state` is robust,
    leaning or undecided, and `state_why` says so in a sentence."""

    id: str
    title: str
    recommended: str | None
    label: str
    conditions: tuple[str, ...]
    state: str
    state_why: str
    because: str
    options: tuple[OptionResult, ...]
    tied_with: tuple[str, ...]
    runner_up: Versus | None
    simplest: Versus | None
    simplest_adequate: str | None
    better_once_mitigated: Mitigable | None
    stability: tuple[WeightRange, ...]
    flips: tuple[FlipResult, ...]
    pairs: tuple[FlipResult, ...]

    def option(self, id: str) -> OptionResult:
        """The option of that id; StopIteration when there is none."""
        return next(o for o in self.options if o.id == id)


@dataclass(frozen=True)
class KnockoutResult:
    """One knock-out. `state` is fires, open (an unknown answer could make it fire) or clear;
    `depends_on` names the unknown questions of an open one."""

    id: str
    title: str
    state: str
    kind: str
    excludes: tuple[str, ...]
    labels: tuple[str, ...]
    mitigation: str | None
    why: str
    depends_on: tuple[str, ...]
    source: tuple[str, ...]
    confidence: str


@dataclass(frozen=True)
class NextQuestion:
    """An open question. `bits` is what its answer would teach about the choices, `rise` how much
    the leaders' shares of draws would grow on average; `matters` is False when it is not worth
    asking any more."""

    question: str
    text: str
    bits: float
    rise: float
    matters: bool


@dataclass(frozen=True)
class Leaning:
    """One decision in brief, with the words and numbers of its DecisionResult; `first` is the share
    of draws in which the recommended option was chosen, 0 when there is none."""

    id: str
    title: str
    recommended: str | None
    label: str
    state: str
    state_why: str
    first: float


@dataclass(frozen=True)
class Outline:
    """What can be said in a hurry, while answers come in: the decisions in brief, and what to ask
    next; the same as in the Result."""

    decisions: tuple[Leaning, ...]
    next_questions: tuple[NextQuestion, ...]


@dataclass(frozen=True)
class DimensionResult:
    """REST against events on one dimension, for these answers. `better` is rest, events or even;
    the reasons explain the lead of the higher score."""

    id: str
    title: str
    rest: float
    events: float
    better: str
    rest_text: str
    events_text: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class ClaimResult:
    """A criterion of the customer's: whether it `applies` here (None: not known), and the guide's
    own view of it."""

    id: str
    text: str
    says: str
    applies: bool | None
    view: str
    why: str
    source: tuple[str, ...]
    confidence: str


@dataclass(frozen=True)
class RiskResult:
    id: str
    text: str
    first_step: str
    source: tuple[str, ...]
    confidence: str


@dataclass(frozen=True)
class Estimate:
    """A range with its reasoning; `high` None means without an upper bound."""

    what: str
    low: float
    high: float | None
    basis: str
    source: tuple[str, ...]
    confidence: str


@dataclass(frozen=True)
class Composite:
    """The six decisions as one recommendation. `patterns` says yes or no to what people ask for
    by name: events, kafka, event_sourcing, cqrs, saga."""

    sentence: str
    state: str
    options: dict[str, str | None]
    conditions: tuple[str, ...]
    patterns: dict[str, str]


@dataclass(frozen=True)
class Result:
    """Everything found for one set of answers. The model and the answers themselves are kept for
    exports and left out of the JSON, which names them by hash."""

    model: Model = field(repr=False)
    answers: Answers = field(repr=False)
    seed: int
    draws: int
    composite: Composite
    knockouts: tuple[KnockoutResult, ...]
    decisions: tuple[DecisionResult, ...]
    next_questions: tuple[NextQuestion, ...]
    comparison: tuple[DimensionResult, ...]
    claims: tuple[ClaimResult, ...]
    risks: tuple[RiskResult, ...]
    first_steps: tuple[str, ...]
    estimates: tuple[Estimate, ...]

    def decision(self, id: str) -> DecisionResult:
        """The decision of that id; StopIteration when there is none."""
        return next(d for d in self.decisions if d.id == id)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON document; equal answers, model and seed give equal documents."""
        kept = {"model", "answers", "seed", "draws"}
        found = {
            f.name: plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.name not in kept
        }
        model = self.model
        return {
            "format": FORMAT,
            "model": {"id": model.id, "version": model.version, "hash": model.hash},
            "answers": {**self.answers.to_json(model), "hash": self.answers.hash(model)},
            "notices": list(self.answers.notices),
            "seed": self.seed,
            "draws": self.draws,
            **found,
        }


def plain(value: Any) -> Any:
    """Records as dicts, tuples as lists, numbers rounded to DECIMALS, all the way down."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0  # -0.0, if rounding left one, becomes 0.0
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value
