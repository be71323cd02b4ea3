"""Scores of one decision: an additive value model with fixed value functions.

An option's score is the weighted mean of its values, in 0..1. The values do not depend on which
other options are there, so dropping a losing option changes nothing; and each criterion's part in
a gap between two options is exact, so the parts sum to the gap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from decision_guide.conditions import NOT_APPLICABLE, UNKNOWN
from decision_guide.model import Decision, Model


def weights_for(decision: Decision, levels: np.ndarray) -> np.ndarray:
    """[criteria] the weights that are left when questions do not apply, summing to 1 again.

    All zero in the extreme case that nothing applies and the decision has no constant."""
    dropped = (levels[decision.asked] == NOT_APPLICABLE) & ~decision.constant
    weights = np.where(dropped, 0.0, decision.weights)
    return weights / (weights.sum() or 1.0)


def criterion_levels(decision: Decision, levels: np.ndarray) -> np.ndarray:
    """[N, criteria] the level each criterion reads from `levels` [N, questions]."""
    return np.where(decision.constant, 0, levels[:, decision.asked])


def criterion_values(decision: Decision, levels: np.ndarray) -> np.ndarray:
    """[N, criteria, options] what each criterion gives each option; unknowns give their mean."""
    columns = np.arange(len(decision.criteria))
    return decision.values[columns, :, criterion_levels(decision, levels)]


def scores(decision: Decision, levels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[N, options] scores for `levels` [N, questions] and `weights` [criteria]."""
    return np.einsum("c,nco->no", weights, criterion_values(decision, levels))


def all_scores(model: Model, levels: np.ndarray) -> list[np.ndarray]:
    """For each decision the [N, options] scores, with the model's weights.

    Which questions do not apply must be the same in all rows."""
    return [scores(d, levels, weights_for(d, levels[0])) for d in model.decisions]


@dataclass(frozen=True)
class Contribution:
    """One criterion's part in the gap between two options: weight x (value - rival's value)."""

    criterion: int
    weight: float
    value: float
    rival_value: float

    @property
    def amount(self) -> float:
        return self.weight * (self.value - self.rival_value)


def contributions(
    decision: Decision, levels: np.ndarray, option: int, rival: int
) -> tuple[Contribution, ...]:
    """Every criterion's part in score(option) - score(rival), for `levels` [questions]."""
    values = criterion_values(decision, levels[None, :])[0]
    weights = weights_for(decision, levels)
    return tuple(
        Contribution(c, float(weights[c]), float(values[c, option]), float(values[c, rival]))
        for c in range(len(decision.criteria))
    )


def interval(decision: Decision, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[options] lowest and highest score over everything the unknown answers may turn out to be."""
    return _extreme(decision, levels, np.min), _extreme(decision, levels, np.max)


def smallest_gap(decision: Decision, levels: np.ndarray, option: int, rival: int) -> float:
    """The least by which the option beats the rival, over all values of the unknown answers.

    Tighter than the intervals, since one unknown answer moves both scores together."""
    difference = decision.values[:, [option], :] - decision.values[:, [rival], :]
    return float(_extreme(decision, levels, np.min, difference)[0])


def _extreme(
    decision: Decision,
    levels: np.ndarray,
    pick: Callable[..., Any],
    values: np.ndarray | None = None,
) -> np.ndarray:
    """Sum over questions of the extreme of what their criteria give together."""
    values = decision.values if values is None else values
    weighted = values * weights_for(decision, levels)[:, None, None]
    at = criterion_levels(decision, levels[None, :])[0]
    unknown = (at == UNKNOWN) & ~decision.constant
    known = weighted[~unknown, :, at[~unknown]].sum(axis=0)
    for question in np.unique(decision.asked[unknown]):
        same = np.flatnonzero(unknown & (decision.asked == question))
        answers = len(decision.criteria[same[0]].values[0])
        known = known + pick(weighted[same, :, :answers].sum(axis=0), axis=1)
    return known


def stability(weights: np.ndarray, values: np.ndarray, option: int) -> list[tuple[float, float]]:
    """For each criterion the range its weight may take while the option stays first.

    `values` is [criteria, options]; the other weights keep their proportions. With rival a and
    weight t, the gap is t*d + (1-t)*R with d = v_b - v_a and R the others' mean gap, so its root
    is -R / (d - R); the bounds are intersected over the rivals. An empty range (low > high) means
    that no weight of this criterion alone makes the option first."""
    gaps = values[:, [option]] - np.delete(values, option, axis=1)
    total = weights @ gaps
    return [_range(gaps[j], total - w * gaps[j], 1 - w) for j, w in enumerate(weights)]


def _range(gap: np.ndarray, rest: np.ndarray, rest_weight: float) -> tuple[float, float]:
    others = rest / rest_weight if rest_weight > 0 else np.zeros_like(rest)
    slope = gap - others
    low, high = 0.0, 1.0
    for d, r in zip(slope, others, strict=True):
        if d == 0:
            high = high if r >= 0 else -1.0
        elif d > 0:
            low = max(low, -r / d)
        else:
            high = min(high, -r / d)
    return float(low), float(high)
