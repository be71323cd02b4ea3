"""Several people answer the same questions, each blind to the others; then they compare.

Nothing is averaged away: every answer stays visible, and a question is worth discussing when the
difference between the answers changes a decision, not when it is merely large.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from decision_guide.answers import Answers, Given, as_asked, levels_of
from decision_guide.evaluation import choose_only
from decision_guide.model import Model, Question
from decision_guide.scoring import all_scores


@dataclass(frozen=True)
class Spread:
    """The answers to one question. `answers` by rater, None for "not sure" and for open; `low`,
    `median` and `high` are answer ids, None when nobody knows; `decides` names the decisions that
    come out differently depending on whose answer is taken."""

    question: str
    answers: dict[str, str | None]
    low: str | None
    median: str | None
    high: str | None
    not_sure: int
    agreed: bool
    decides: tuple[str, ...]


@dataclass(frozen=True)
class Review:
    """What the raters said and where it matters. `common` holds what all agree on, and "not sure"
    for the rest; `results` the decisions under each person's own answers; `agreement` Kendall's W
    over the raters' rankings of each decision's options, 1 for full agreement."""

    spreads: tuple[Spread, ...]
    results: dict[str, dict[str, str | None]]
    agreement: dict[str, float]
    common: Answers

    @property
    def to_discuss(self) -> tuple[Spread, ...]:
        """The questions whose answers decide something, most decisions first."""
        return tuple(sorted((s for s in self.spreads if s.decides), key=lambda s: -len(s.decides)))


def merge(model: Model, rated: Mapping[str, Answers]) -> Review:
    """Compare the raters' answers; `rated` is by rater and must hold at least one."""
    common = _common(model, rated)
    return Review(
        spreads=tuple(_spread(model, q, rated, common) for q in model.questions),
        results={rater: choose_only(model, answers) for rater, answers in rated.items()},
        agreement=_agreement(model, list(rated.values())),
        common=common,
    )


def settle(answers: Answers, question: str, given: Given, note: str) -> Answers:
    """The facilitator's word on a question, with the reason kept as its note."""
    return answers.having(question, replace(given, note=note))


def kendall_w(rankings: Sequence[Sequence[float]]) -> float:
    """Kendall's coefficient of concordance for [raters][items] ranks: 12 S / (m^2 (n^3 - n))."""
    ranks = np.array(rankings, dtype=float)
    raters, items = ranks.shape
    totals = ranks.sum(axis=0)
    spread = ((totals - totals.mean()) ** 2).sum()
    return float(12 * spread / (raters**2 * (items**3 - items)))


def mean_weights(weights: Sequence[Sequence[float]], *, geometric: bool = False) -> list[float]:
    """The raters' weight vectors as one, by arithmetic or geometric mean, summing to 1."""
    table = np.array(weights, dtype=float)
    mean = np.exp(np.log(table).mean(axis=0)) if geometric else table.mean(axis=0)
    return (mean / mean.sum()).tolist()


def _common(model: Model, rated: Mapping[str, Answers]) -> Answers:
    given = {}
    for question in model.questions:
        said = [answers.given.get(question.id) for answers in rated.values()]
        first = said[0]
        if first is not None and len({_value(g) for g in said}) == 1:
            given[question.id] = replace(first, note="")
        elif any(said):
            given[question.id] = Given()
    return Answers(given)


def _value(given: Given | None) -> tuple[int | None, str | None] | None:
    return None if given is None else (given.level, given.reason)


def _spread(
    model: Model, question: Question, rated: Mapping[str, Answers], common: Answers
) -> Spread:
    said = {rater: answers.given.get(question.id) for rater, answers in rated.items()}
    levels = sorted(g.level for g in said.values() if g is not None and g.level is not None)
    ids = [question.answers[level].id for level in levels]
    return Spread(
        question=question.id,
        answers={
            rater: None if g is None or g.level is None else question.answers[g.level].id
            for rater, g in said.items()
        },
        low=ids[0] if ids else None,
        median=ids[(len(ids) - 1) // 2] if ids else None,
        high=ids[-1] if ids else None,
        not_sure=sum(g is not None and g.not_sure for g in said.values()),
        agreed=len({_value(g) for g in said.values()}) == 1,
        decides=_decides(model, question, set(levels), common),
    )


def _decides(
    model: Model, question: Question, levels: set[int], common: Answers
) -> tuple[str, ...]:
    results = [
        choose_only(model, common.having(question.id, Given(level=level)))
        for level in sorted(levels)
    ]
    return tuple(d.id for d in model.decisions if len({r[d.id] for r in results}) > 1)


def _agreement(model: Model, rated: list[Answers]) -> dict[str, float]:
    rows = [all_scores(model, as_asked(model, levels_of(model, a)[None, :])) for a in rated]
    return {
        decision.id: kendall_w([_ranks(scores[d][0]) for scores in rows])
        for d, decision in enumerate(model.decisions)
    }


def _ranks(scores: np.ndarray) -> list[float]:
    """1 for the best; options with equal scores share the mean of their ranks."""
    return [float((scores > s).sum() + ((scores == s).sum() + 1) / 2) for s in scores]
