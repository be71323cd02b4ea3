"""One decision explained: its options, why the chosen one, how sure, and what would change it."""

import numpy as np

from decision_guide.answers import NOT_SURE
from decision_guide.computed import Computed, option_id
from decision_guide.conditions import NOT_APPLICABLE, UNKNOWN
from decision_guide.flips import Flip
from decision_guide.leaning import knockouts_on, lean, tied
from decision_guide.model import Decision
from decision_guide.result import (
    ChangeResult,
    DecisionResult,
    FlipResult,
    Mitigable,
    OptionResult,
    Reason,
    Versus,
    WeightRange,
)
from decision_guide.robustness import central_weights, rank_acceptability, share_first
from decision_guide.scoring import (
    contributions,
    criterion_values,
    interval,
    stability,
    weights_for,
)
from decision_guide.selection import NO_OPTION


def decide(computed: Computed, d: int) -> DecisionResult:
    """Everything there is to say about the decision at index d."""
    decision = computed.model.decisions[d]
    chosen = int(computed.choices[d])
    if chosen == NO_OPTION:
        return _no_option(computed, d)
    allowed = computed.allowed(d)
    runner_up = _versus(computed, d, chosen, _best(computed, d, allowed, besides=chosen))
    leaning = lean(computed, d)
    return DecisionResult(
        id=decision.id,
        title=decision.title,
        recommended=leaning.recommended,
        label=leaning.label,
        conditions=_mitigations(computed, d, chosen),
        state=leaning.state,
        state_why=leaning.state_why,
        because=_because(decision, runner_up),
        options=_options(computed, d),
        tied_with=tuple(decision.options[o].id for o in tied(computed, d)),
        runner_up=runner_up,
        simplest=_versus(computed, d, chosen, _simplest(computed, d, allowed, besides=chosen)),
        simplest_adequate=_simplest_adequate(computed, d, allowed),
        better_once_mitigated=_mitigable(computed, d, chosen),
        stability=_stability(computed, d, chosen, allowed),
        flips=_flips(computed, computed.singles, d),
        pairs=_flips(computed, computed.pairs, d),
    )


def _no_option(computed: Computed, d: int) -> DecisionResult:
    leaning = lean(computed, d)
    return DecisionResult(
        id=leaning.id,
        title=leaning.title,
        recommended=leaning.recommended,
        label=leaning.label,
        conditions=(),
        state=leaning.state,
        state_why=leaning.state_why,
        because=leaning.state_why,
        options=_options(computed, d),
        tied_with=(),
        runner_up=None,
        simplest=None,
        simplest_adequate=None,
        better_once_mitigated=None,
        stability=(),
        flips=_flips(computed, computed.singles, d),
        pairs=_flips(computed, computed.pairs, d),
    )


def _options(computed: Computed, d: int) -> tuple[OptionResult, ...]:
    decision, near = computed.model.decisions[d], computed.near
    low, high = interval(decision, computed.levels)
    first = share_first(near.choices[:, d], len(decision.options))
    free = share_first(computed.free.choices[:, d], len(decision.options))
    ranks = rank_acceptability(near.ranked(d))
    results = []
    for o, option in enumerate(decision.options):
        status, by = _status(computed, d, o)
        results.append(
            OptionResult(
                id=option.id,
                label=option.label,
                score=float(computed.scores[d][o]),
                low=float(low[o]),
                high=float(high[o]),
                status=status,
                by=by,
                first=float(first[o]),
                first_free=float(free[o]),
                ranks=tuple(ranks[o].tolist()),
                central=_central(computed, d, o),
            )
        )
    return tuple(results)


def _central(computed: Computed, d: int, o: int) -> dict[str, float] | None:
    weights = central_weights(computed.free.weights[d], computed.free.choices[:, d] == o)
    if weights is None:
        return None
    names = [c.id for c in computed.model.decisions[d].criteria]
    return dict(zip(names, weights.tolist(), strict=True))


def _status(computed: Computed, d: int, o: int) -> tuple[str, tuple[str, ...]]:
    firing = [k for k in knockouts_on(computed.model, d, o) if computed.truth(k.when)]
    rules = [
        c.id
        for c in computed.model.compatibility
        if computed.choices[c.given[0]] == c.given[1] and (d, o) in c.excludes
    ]
    excluding = [k.id for k in firing if k.kind == "excluded"] + rules
    if excluding:
        return "excluded", tuple(excluding)
    return ("blocked", tuple(k.id for k in firing)) if firing else ("clear", ())


def _mitigations(computed: Computed, d: int, o: int) -> tuple[str, ...]:
    return tuple(
        k.mitigation
        for k in knockouts_on(computed.model, d, o)
        if k.kind == "blocked" and k.mitigation and computed.truth(k.when)
    )


def _best(computed: Computed, d: int, among: np.ndarray, *, besides: int) -> int | None:
    candidates = [int(o) for o in np.flatnonzero(among) if o != besides]
    burdens = computed.model.decisions[d].burdens
    return max(candidates, key=lambda o: (computed.scores[d][o], -burdens[o]), default=None)


def _simplest(computed: Computed, d: int, among: np.ndarray, *, besides: int) -> int | None:
    """The option with the least burden; None when that is the chosen one itself."""
    simplest = min(np.flatnonzero(among), key=lambda o: computed.model.decisions[d].burdens[o])
    return None if simplest == besides else int(simplest)


def _simplest_adequate(computed: Computed, d: int, among: np.ndarray) -> str | None:
    decision = computed.model.decisions[d]
    adequate = among & (computed.scores[d] >= computed.model.adequate.value)
    order = sorted(np.flatnonzero(adequate), key=lambda o: decision.burdens[o])
    return decision.options[order[0]].id if order else None


def _mitigable(computed: Computed, d: int, chosen: int) -> Mitigable | None:
    hopeful = ~computed.out(d) & computed.bars.blocked[d][0]
    better = _best(computed, d, hopeful, besides=chosen)
    if better is None or computed.scores[d][better] <= computed.scores[d][chosen]:
        return None
    option = computed.model.decisions[d].options[better].id
    return Mitigable(option, _mitigations(computed, d, better))


def _versus(computed: Computed, d: int, chosen: int, rival: int | None) -> Versus | None:
    if rival is None:
        return None
    decision = computed.model.decisions[d]
    gap = float(computed.scores[d][chosen] - computed.scores[d][rival])
    reasons = reasons_for(computed, decision, chosen, rival)
    return Versus(decision.options[rival].id, gap, reasons)


def reasons_for(
    computed: Computed, decision: Decision, option: int, rival: int
) -> tuple[Reason, ...]:
    """The contributions in words, the largest first."""
    reasons = []
    for part in contributions(decision, computed.levels, option, rival):
        criterion = decision.criteria[part.criterion]
        asked = None if criterion.question is None else computed.model.questions[criterion.question]
        reasons.append(
            Reason(
                criterion=criterion.id,
                title=criterion.title,
                question=None if asked is None else asked.id,
                answer=_answer_text(computed, criterion.question),
                weight=part.weight,
                value=part.value,
                rival_value=part.rival_value,
                amount=part.amount,
                why=criterion.why,
                source=criterion.source,
                confidence=criterion.confidence,
            )
        )
    return tuple(sorted(reasons, key=lambda r: -abs(r.amount)))


def _answer_text(computed: Computed, question: int | None) -> str:
    if question is None:
        return "whatever the answers"
    level = int(computed.levels[question])
    if level == UNKNOWN:
        return NOT_SURE
    if level == NOT_APPLICABLE:
        return "does not apply"
    return computed.model.questions[question].answers[level].label


def _because(decision: Decision, runner_up: Versus | None) -> str:
    if runner_up is None:
        return "it is the only option that no rule excludes"
    rival = next(o.label for o in decision.options if o.id == runner_up.rival)
    strongest = [r for r in runner_up.reasons if r.amount > 0][:3]
    words = "; ".join(f"{r.title.lower()} ({r.answer})" for r in strongest)
    return f"against {rival}: {words}" if words else f"it is no better than {rival}, but simpler"


def _stability(
    computed: Computed, d: int, chosen: int, allowed: np.ndarray
) -> tuple[WeightRange, ...]:
    decision = computed.model.decisions[d]
    rivals = [o for o in np.flatnonzero(allowed) if o != chosen]
    if not rivals:
        return ()
    weights = weights_for(decision, computed.levels)
    values = criterion_values(decision, computed.levels[None, :])[0][:, [chosen, *rivals]]
    ranges = stability(weights, values, 0)
    return tuple(
        WeightRange(c.id, float(w), low, high)
        for c, w, (low, high) in zip(decision.criteria, weights, ranges, strict=True)
    )


def _flips(computed: Computed, flips: list[Flip], d: int) -> tuple[FlipResult, ...]:
    return tuple(
        FlipResult(
            to=option_id(computed.model.decisions[d], flip.option),
            changes=tuple(_change(computed, c.question, c.level) for c in flip.changes),
        )
        for flip in flips
        if flip.decision == d
    )


def _change(computed: Computed, question: int, level: int) -> ChangeResult:
    asked = computed.model.questions[question]
    given = computed.answers.given.get(asked.id)
    before = None if given is None or given.level is None else asked.answers[given.level].id
    return ChangeResult(asked.id, before, asked.answers[level].id, asked.changes)
