"""One decision in brief: which option it leans to, and how sure that is."""

import numpy as np

from decision_guide.computed import Outlined
from decision_guide.conditions import UNKNOWN
from decision_guide.model import Knockout, Model
from decision_guide.result import Leaning
from decision_guide.robustness import share_first
from decision_guide.scoring import smallest_gap
from decision_guide.selection import NO_OPTION, ties

ROBUST_SHARE = 0.9
"""A choice is robust only when it is first in at least this share of the draws (heuristic)."""
LEADING_SHARE = 0.5
"""Below this share of the draws no choice is recommended with a good conscience (heuristic)."""


NOTHING_LEFT = "every option is excluded; see the knock-outs and the rules between decisions"


def lean(computed: Outlined, d: int) -> Leaning:
    """The decision at index d in brief."""
    decision, chosen = computed.model.decisions[d], int(computed.choices[d])
    if chosen == NO_OPTION:
        found = None, "none", "undecided", NOTHING_LEFT, 0.0
        return Leaning(decision.id, decision.title, *found)
    option, (state, why) = decision.options[chosen], _state(computed, d, chosen)
    first = share_first(computed.near.choices[:, d], len(decision.options))[chosen]
    return Leaning(decision.id, decision.title, option.id, option.label, state, why, float(first))


def tied(computed: Outlined, d: int) -> list[int]:
    """The options whose score equals that of the chosen one of decision d."""
    return ties(computed.scores[d], computed.allowed(d), int(computed.choices[d]))


def knockouts_on(model: Model, d: int, o: int) -> list[Knockout]:
    """The knock-outs that speak of option o of decision d."""
    return [k for k in model.knockouts if any(t.choice == (d, o) for t in k.targets)]


def _state(computed: Outlined, d: int, chosen: int) -> tuple[str, str]:
    decision = computed.model.decisions[d]
    first = int((computed.near.choices[:, d] == chosen).sum())
    total = len(computed.near.choices)
    counted = f"first in {first:,} of {total:,} weightings"
    unsure = _unsure_knockouts(computed, d, chosen)
    if unsure:
        return "undecided", f"{counted}, but {unsure[0]} would bar it, and that is not known"
    if equals := tied(computed, d):
        others = ", ".join(decision.options[o].label for o in equals)
        return "undecided", f"tied with {others}; the simpler one is named"
    if first / total < LEADING_SHARE:
        return "undecided", f"{counted}, fewer than half"
    if first / total >= ROBUST_SHARE and _certain(computed, d, chosen):
        return "robust", f"{counted}, and no open question can change it"
    return "leaning", counted


def _certain(computed: Outlined, d: int, chosen: int) -> bool:
    """Whether the option stays first whatever the open questions' answers are."""
    gaps = [
        smallest_gap(computed.model.decisions[d], computed.levels, chosen, int(rival))
        for rival in np.flatnonzero(computed.allowed(d))
        if rival != chosen
    ]
    flipped_by_open = any(
        computed.levels[change.question] == UNKNOWN
        for flip in computed.singles
        if flip.decision == d
        for change in flip.changes
    )
    barred_by_open = bool(_open_knockouts(computed, d, chosen))
    return all(gap > 0 for gap in gaps) and not flipped_by_open and not barred_by_open


def _open_knockouts(computed: Outlined, d: int, o: int) -> list[Knockout]:
    on = knockouts_on(computed.model, d, o)
    return [k for k in on if computed.truth(k.when) is None]


def _unsure_knockouts(computed: Outlined, d: int, o: int) -> list[str]:
    """The open knock-outs on the option that hang on an explicit "not sure"."""
    ids = [q.id for q in computed.model.questions]
    unsure = {q for q, id in enumerate(ids) if (g := computed.answers.given.get(id)) and g.not_sure}
    return [
        f"{k.id} ({k.title.lower()})"
        for k in _open_knockouts(computed, d, o)
        if unsure & {q for alternative in k.when for q in alternative}
    ]
