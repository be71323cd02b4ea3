"""How far the choice depends on weights and on what is not known (SMAA).

Stochastic multicriteria acceptability analysis (Lahdelma, Hokkanen, Salminen 1998): draw many
weights, and for each unknown answer one of its answers, decide anew, and count. It is done twice:
with the model's weights halved to doubled (would a small disagreement matter?), and with weights
free (would reasonable people disagree?).
"""

from dataclasses import dataclass

import numpy as np

from decision_guide.answers import as_asked
from decision_guide.conditions import UNKNOWN
from decision_guide.model import Decision, Model
from decision_guide.scoring import criterion_values, weights_for
from decision_guide.selection import Barred, barred, choose

BAND = 2.0
"""In the near run each weight is drawn between its half and its double, evenly on a log scale."""


@dataclass(frozen=True)
class Near:
    """The run with weights near the model's: the `levels` drawn [draws, questions], what `bars`
    options there, each decision's `scores` [draws, options], and the `choices` [draws,
    decisions]."""

    levels: np.ndarray
    bars: Barred
    scores: list[np.ndarray]
    choices: np.ndarray

    def ranked(self, d: int) -> np.ndarray:
        """[draws, options] the scores of one decision, minus infinity for what is excluded."""
        return np.where(self.bars.excluded[d], -np.inf, self.scores[d])


@dataclass(frozen=True)
class Free:
    """The run with free weights: each decision's `weights` [draws, criteria], and the `choices`
    [draws, decisions] at the levels of the near run."""

    weights: list[np.ndarray]
    choices: np.ndarray


def draw_near(model: Model, levels: np.ndarray, rng: np.random.Generator, draws: int) -> Near:
    """The near run for `levels` [questions]; the first to use the generator."""
    sampled = sample_unknowns(model, levels, rng, draws)
    weights = [near_weights(weights_for(d, levels), rng, draws) for d in model.decisions]
    bars, scores = barred(model, sampled), _all_scores(model, sampled, weights)
    return Near(sampled, bars, scores, choose(model, scores, bars))


def draw_free(model: Model, levels: np.ndarray, near: Near, rng: np.random.Generator) -> Free:
    """The free run beside a near one; the second to use the generator."""
    used = [weights_for(d, levels) > 0 for d in model.decisions]
    weights = [free_weights(u, rng, len(near.levels)) for u in used]
    scores = _all_scores(model, near.levels, weights)
    return Free(weights, choose(model, scores, near.bars))


def sample_unknowns(
    model: Model, levels: np.ndarray, rng: np.random.Generator, draws: int
) -> np.ndarray:
    """[draws, questions] with each unknown replaced by one of its answers, by their shares."""
    sampled = np.empty((draws, len(levels)), dtype=int, order="F")
    sampled[:] = levels
    for q in np.flatnonzero(levels == UNKNOWN):
        shares = model.questions[q].shares
        sampled[:, q] = rng.choice(len(shares), size=draws, p=shares)
    return as_asked(model, sampled)


def near_weights(weights: np.ndarray, rng: np.random.Generator, draws: int) -> np.ndarray:
    """[draws, criteria] weights within the BAND around the given ones (not normalised: only their
    proportions matter to a choice)."""
    return weights * np.exp(rng.uniform(-np.log(BAND), np.log(BAND), (draws, len(weights))))


def free_weights(used: np.ndarray, rng: np.random.Generator, draws: int) -> np.ndarray:
    """[draws, criteria] weights drawn evenly from all that sum to 1; 0 where not `used`."""
    weights = rng.standard_exponential((draws, len(used))) * used
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)


def _all_scores(model: Model, levels: np.ndarray, weights: list[np.ndarray]) -> list[np.ndarray]:
    varies = (levels != levels[0]).any(axis=0)
    return [
        _scores(d, levels, varies[d.asked] & ~d.constant, w)
        for d, w in zip(model.decisions, weights, strict=True)
    ]


def _scores(
    decision: Decision, levels: np.ndarray, varies: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """[draws, options]: one product for what is the same in all draws, one lookup for the rest."""
    same = criterion_values(decision, levels[:1])[0]
    result = weights @ np.where(varies[:, None], 0.0, same)
    for c in np.flatnonzero(varies):
        given = decision.values[c].T.take(levels[:, decision.asked[c]], axis=0)
        result += weights[:, c, None] * given
    return result


def share_first(choices: np.ndarray, options: int) -> np.ndarray:
    """[options] the share of draws in which each option was chosen, for choices [draws]."""
    return np.bincount(choices[choices >= 0], minlength=options) / len(choices)


def rank_acceptability(scores: np.ndarray) -> np.ndarray:
    """[options, ranks] the share of draws in which an option has each rank, best first."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.array([np.mean(order == option, axis=0) for option in range(scores.shape[1])])


def central_weights(weights: np.ndarray, first: np.ndarray) -> np.ndarray | None:
    """[criteria] the mean weights of the draws in `first`: the view of someone who prefers that
    option. None when no draw does."""
    return weights[first].mean(axis=0) if first.any() else None


@dataclass(frozen=True)
class Learned:
    """What an answer to one open question would teach: `bits` of entropy it takes from the
    choices, and the `rise` in the leaders' share of draws, both summed over the decisions."""

    question: int
    bits: float
    rise: float


WORTH_ASKING = 0.005
"""Bits below which a question can no longer be told from chance at 10,000 draws."""


def what_to_ask(model: Model, levels: np.ndarray, near: Near) -> list[Learned]:
    """The open questions by what their answers would teach, the most first.

    Read off the draws themselves: those that drew the same answer are the cases where it holds."""
    learned = [_learned(model, int(q), near) for q in np.flatnonzero(levels == UNKNOWN)]
    return sorted(learned, key=lambda item: (-item.bits, item.question))


def _learned(model: Model, question: int, near: Near) -> Learned:
    bits = rise = 0.0
    for d, decision in enumerate(model.decisions):
        joint = _joint(near.levels[:, question], near.choices[:, d] + 1, len(decision.options) + 1)
        bits += _entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1)) - _entropy(joint)
        rise += joint.max(axis=1).sum() - joint.sum(axis=0).max()
    return Learned(question, float(bits), float(rise))


def _joint(answers: np.ndarray, choices: np.ndarray, width: int) -> np.ndarray:
    """[answers, choices] the share of draws with each pair."""
    counts = np.bincount(answers * width + choices, minlength=(answers.max() + 1) * width)
    return counts.reshape(-1, width) / len(answers)


def _entropy(shares: np.ndarray) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log2(positive)).sum())
