"""What would change the answer: single answers, and the smallest pairs, that flip a decision.

Every other answer to every question is tried, then every pair, all in one pass over rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from decision_guide.answers import as_asked
from decision_guide.conditions import NOT_APPLICABLE, UNKNOWN
from decision_guide.model import Model
from decision_guide.scoring import all_scores
from decision_guide.selection import barred, choose

PAIRS_SHOWN = 5


@dataclass(frozen=True)
class Change:
    """One question answered otherwise. `steps` is how many answers lie between: 1 for a neighbour,
    and 1 for a question that was open."""

    question: int
    level: int
    steps: int


@dataclass(frozen=True)
class Flip:
    """Changes that move a decision to another option (selection.NO_OPTION: to none)."""

    decision: int
    option: int
    changes: tuple[Change, ...]


def choices_at(model: Model, levels: np.ndarray) -> np.ndarray:
    """[N, decisions] the choices for `levels` [N, questions], unknowns at their mean."""
    asked = as_asked(model, levels)
    return choose(model, all_scores(model, asked), barred(model, asked))


def find_singles(model: Model, levels: np.ndarray) -> list[Flip]:
    """All single answers that flip a decision, the most plausible first; of `levels` [questions] as
    given (not yet reduced to what is asked)."""
    alone = [(change,) for change in _changes(model, levels)]
    return sorted(_flips(model, levels, alone), key=_plausibility(model))


def find_pairs(model: Model, levels: np.ndarray, singles: list[Flip]) -> list[Flip]:
    """The smallest pairs for each decision, given all its singles: a pair is left out when one half
    of it flips already."""
    changes = _changes(model, levels)
    pairs = [
        (a, b) for i, a in enumerate(changes) for b in changes[i + 1 :] if a.question != b.question
    ]
    enough = {(f.decision, change) for f in singles for change in f.changes}
    both = [
        f
        for f in _flips(model, levels, pairs)
        if not any((f.decision, change) in enough for change in f.changes)
    ]
    return _smallest(model, both)


def _changes(model: Model, levels: np.ndarray) -> list[Change]:
    changes = []
    for q, question in enumerate(model.questions):
        if levels[q] == NOT_APPLICABLE:
            continue
        for level in range(len(question.answers)):
            if level != levels[q]:
                steps = 1 if levels[q] == UNKNOWN else abs(level - int(levels[q]))
                changes.append(Change(q, level, steps))
    return changes


def _flips(model: Model, levels: np.ndarray, changes: Sequence[tuple[Change, ...]]) -> list[Flip]:
    rows = np.tile(levels, (len(changes) + 1, 1))
    for i, together in enumerate(changes, start=1):
        for change in together:
            rows[i, change.question] = change.level
    choices = choices_at(model, rows)
    moved = np.argwhere(choices[1:] != choices[0]).tolist()
    return [Flip(d, int(choices[row + 1, d]), changes[row]) for row, d in moved]


def _plausibility(model: Model) -> Callable[[Flip], tuple[Any, ...]]:
    """A sort key: what can change within a year first, then the fewest steps."""

    def key(flip: Flip) -> tuple[Any, ...]:
        fixed = sum(model.questions[c.question].changes == "fixed" for c in flip.changes)
        steps = sum(c.steps for c in flip.changes)
        return fixed, steps, [(c.question, c.level) for c in flip.changes]

    return key


def _smallest(model: Model, pairs: list[Flip]) -> list[Flip]:
    key = _plausibility(model)
    ordered = sorted(pairs, key=lambda flip: (flip.decision, key(flip)))
    return [
        flip
        for d in range(len(model.decisions))
        for flip in [f for f in ordered if f.decision == d][:PAIRS_SHOWN]
    ]
