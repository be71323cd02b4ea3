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
class Draws:
    """`levels` [draws, questions] and the `choices` [draws, decisions] made with weights near the
    model's; `free` [draws, decisions] those made with free weights, and the free `weights`
    [draws, criteria] of each decision; `ranked` [draws, options] the near run's scores, with
    minus infinity for what a knock-out excludes."""

    levels: np.ndarray
    choices: np.ndarray
    free: np.ndarray
    weights: list[np.ndarray]
    ranked: list[np.ndarray]


def draw(model: Model, levels: np.ndarray, seed: int, draws: int) -> Draws:
    """The draws for `levels` [questions]; the same seed gives the same draws."""
    rng = np.random.default_rng(seed)
    sampled = sample_unknowns(model, levels, rng, draws)
    bars = barred(model, sampled)
    used = [weights_for(d, levels) for d in model.decisions]
    near = [near_weights(w, rng, draws) for w in used]
    free = [free_weights(w > 0, rng, draws) for w in used]
    near_scores = _all_scores(model, sampled, near)
    free_scores = _all_scores(model, sampled, free)
    return Draws(
        levels=sampled,
        choices=choose(model, near_scores, bars),
        free=choose(model, free_scores, bars),
        weights=free,
        ranked=_without_excluded(near_scores, bars),
    )


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


def _without_excluded(scores: list[np.ndarray], bars: Barred) -> list[np.ndarray]:
    return [np.where(out, -np.inf, s) for s, out in zip(scores, bars.excluded, strict=True)]


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


def what_to_ask(model: Model, levels: np.ndarray, draws: Draws) -> list[Learned]:
    """The open questions by what their answers would teach, the most first.

    Read off the draws themselves: those that drew the same answer are the cases where it holds."""
    learned = [_learned(model, int(q), draws) for q in np.flatnonzero(levels == UNKNOWN)]
    return sorted(learned, key=lambda item: (-item.bits, item.question))


def _learned(model: Model, question: int, draws: Draws) -> Learned:
    bits = rise = 0.0
    for d, decision in enumerate(model.decisions):
        joint = _joint(
            draws.levels[:, question], draws.choices[:, d] + 1, len(decision.options) + 1
        )
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
