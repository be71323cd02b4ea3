"""The answers as numbers, and everything computed from them that a result is read from."""

from dataclasses import dataclass

import numpy as np

from decision_guide.answers import Answers, as_asked, levels_of
from decision_guide.conditions import Condition, holds, may_hold
from decision_guide.flips import Flip, find_pairs, find_singles
from decision_guide.model import Decision, Model
from decision_guide.robustness import Free, Near, draw_free, draw_near
from decision_guide.scoring import all_scores
from decision_guide.selection import NO_OPTION, Barred, barred, choose, incompatible, open_to


@dataclass(frozen=True)
class Outlined:
    """One set of answers under one model: what its choices, and how sure each is, are read from.
    `levels` are those asked, `scores` and `choices` follow from them with unknowns at their mean;
    `singles` are the flips by one answer."""

    model: Model
    answers: Answers
    levels: np.ndarray
    scores: list[np.ndarray]
    bars: Barred
    choices: np.ndarray
    near: Near
    singles: list[Flip]

    def out(self, d: int) -> np.ndarray:
        """[options] excluded in decision d, by a knock-out or by an earlier choice."""
        rule = incompatible(self.model, d, self.choices[None, :])
        return (self.bars.excluded[d] | rule)[0]

    def allowed(self, d: int) -> np.ndarray:
        """[options] what may be recommended in decision d."""
        return open_to(self.out(d)[None, :], self.bars.blocked[d])[0]

    def truth(self, condition: Condition) -> bool | None:
        """Whether a condition holds; None when that depends on an unknown answer."""
        if holds(condition, self.levels[None, :])[0]:
            return True
        return None if may_hold(condition, self.levels[None, :])[0] else False


@dataclass(frozen=True)
class Computed(Outlined):
    """The same with everything else that a result needs: the run with free weights, and the flips
    by pairs of answers."""

    free: Free
    pairs: list[Flip]


def compute_outline(
    model: Model, answers: Answers, rng: np.random.Generator, draws: int
) -> Outlined:
    """Scores, knock-outs, choices, the near run and the single flips."""
    given = levels_of(model, answers)
    levels = as_asked(model, given[None, :])
    found, bars = all_scores(model, levels), barred(model, levels)
    return Outlined(
        model=model,
        answers=answers,
        levels=levels[0],
        scores=[s[0] for s in found],
        bars=bars,
        choices=choose(model, found, bars)[0],
        near=draw_near(model, levels[0], rng, draws),
        singles=find_singles(model, given),
    )


def compute(model: Model, answers: Answers, rng: np.random.Generator, draws: int) -> Computed:
    """Everything numeric."""
    outlined = compute_outline(model, answers, rng, draws)
    return Computed(
        **vars(outlined),
        free=draw_free(model, outlined.levels, outlined.near, rng),
        pairs=find_pairs(model, levels_of(model, answers), outlined.singles),
    )


def option_id(decision: Decision, option: int) -> str | None:
    """The id of the option at an index; None for NO_OPTION."""
    return None if option == NO_OPTION else decision.options[option].id
