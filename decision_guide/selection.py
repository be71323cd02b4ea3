"""From scores to choices: knock-outs first, then decision by decision, bound by those before.

Everything here works on many rows at once: one row for the answers as given, thousands for the
flips and for the robustness runs.
"""

from dataclasses import dataclass

import numpy as np

from decision_guide.conditions import holds
from decision_guide.model import Model

NO_OPTION = -1
_TIE = 1e-9


@dataclass(frozen=True)
class Barred:
    """For each decision two masks [N, options]: what knock-outs exclude, and what they block."""

    excluded: list[np.ndarray]
    blocked: list[np.ndarray]


def barred(model: Model, levels: np.ndarray) -> Barred:
    """What the knock-outs that certainly hold for `levels` [N, questions] exclude and block."""
    result = Barred(_no_marks(model, len(levels)), _no_marks(model, len(levels)))
    for knockout in model.knockouts:
        masks = result.excluded if knockout.kind == "excluded" else result.blocked
        rows = holds(knockout.when, levels)
        for target in knockout.targets:
            if target.choice is not None:
                decision, option = target.choice
                masks[decision][:, option] |= rows
    return result


def _no_marks(model: Model, rows: int) -> list[np.ndarray]:
    """For each decision a mask [rows, options], all False; an option's rows lie side by side in
    memory, since everything here runs down the rows."""
    return [np.zeros((rows, len(d.options)), bool, order="F") for d in model.decisions]


def incompatible(model: Model, decision: int, choices: np.ndarray) -> np.ndarray:
    """[N, options] what the choices [N, decisions] made so far exclude in this decision."""
    mask = _no_marks(model, len(choices))[decision]
    for rule in model.compatibility:
        rows = choices[:, rule.given[0]] == rule.given[1]
        for target, option in rule.excludes:
            if target == decision:
                mask[:, option] |= rows
    return mask


def choose(model: Model, scores: list[np.ndarray], bars: Barred) -> np.ndarray:
    """[N, decisions] the option chosen, or NO_OPTION where every one is excluded.

    The best clear option wins. Where none is clear, the best blocked one does: it is then a
    recommendation with a condition. Ties go to the option with the smaller burden, whatever the
    order of the options."""
    choices = np.full((len(scores[0]), len(model.decisions)), NO_OPTION, order="F")
    for d in range(len(model.decisions)):
        out = bars.excluded[d] | incompatible(model, d, choices)
        choices[:, d] = _best(model, d, scores[d], out, bars.blocked[d])
    return choices


def open_to(out: np.ndarray, blocked: np.ndarray) -> np.ndarray:
    """[N, options] what may be recommended: the clear options, or else the blocked ones."""
    clear = ~out & ~blocked
    return np.where(clear.any(axis=1, keepdims=True), clear, ~out)


def _best(
    model: Model, decision: int, scores: np.ndarray, out: np.ndarray, blocked: np.ndarray
) -> np.ndarray:
    allowed, scores = open_to(out, blocked), np.asfortranarray(scores)
    best = np.where(allowed, scores, -np.inf).max(axis=1, keepdims=True)
    first = allowed & (scores >= best - _TIE)
    burden = np.where(first, model.decisions[decision].burdens, np.iinfo(int).max)
    return np.where(allowed.any(axis=1), burden.argmin(axis=1), NO_OPTION)


def ties(scores: np.ndarray, allowed: np.ndarray, option: int) -> list[int]:
    """The other options whose score equals the option's, of one row [options]."""
    same = allowed & (np.abs(scores - scores[option]) <= _TIE)
    return [int(o) for o in np.flatnonzero(same) if o != option]
