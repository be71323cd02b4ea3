"""One full evaluation: from a model and answers to a result that explains itself."""

from dataclasses import dataclass

import numpy as np

from decision_guide.answers import NOT_SURE, Answers, as_asked, levels_of
from decision_guide.conditions import NOT_APPLICABLE, UNKNOWN, Condition, holds, may_hold
from decision_guide.estimates import estimate
from decision_guide.flips import Flip, find_flips
from decision_guide.model import Decision, Knockout, Model
from decision_guide.result import (
    ChangeResult,
    ClaimResult,
    Composite,
    DecisionResult,
    DimensionResult,
    FlipResult,
    KnockoutResult,
    Mitigable,
    NextQuestion,
    OptionResult,
    Reason,
    Result,
    RiskResult,
    Versus,
    WeightRange,
)
from decision_guide.robustness import (
    WORTH_ASKING,
    Draws,
    central_weights,
    draw,
    rank_acceptability,
    share_first,
    what_to_ask,
)
from decision_guide.scoring import (
    all_scores,
    contributions,
    criterion_values,
    interval,
    scores,
    smallest_gap,
    stability,
    weights_for,
)
from decision_guide.selection import NO_OPTION, Barred, barred, choose, incompatible, open_to, ties

SEED = 7
DRAWS = 10_000
ROBUST_SHARE = 0.9
"""A choice is robust only when it is first in at least this share of the draws (heuristic)."""
LEADING_SHARE = 0.5
"""Below this share of the draws no choice is recommended with a good conscience (heuristic)."""
EVEN = 0.05
"""REST and events count as even on a dimension when their scores are this close (heuristic)."""
STATES = ("robust", "leaning", "undecided")

PATTERNS = {
    "events": ("interaction", {"sync": "no", "mixed": "on some paths", "async": "throughout"}),
    "kafka": ("transport", {"log": "yes"}),
    "event_sourcing": ("state", {"event-sourcing": "yes"}),
    "cqrs": (
        "reads",
        {"projection": "in the same database", "separate": "with a store of its own"},
    ),
    "saga": ("workflow", {"choreography": "by choreography", "orchestration": "by orchestration"}),
}
"""What people ask for by name: the decision that answers it, and the options that say yes."""


@dataclass(frozen=True)
class _Case:
    """The answers as numbers, and everything computed from them that the result is read from."""

    model: Model
    answers: Answers
    levels: np.ndarray
    scores: list[np.ndarray]
    bars: Barred
    choices: np.ndarray
    draws: Draws
    singles: list[Flip]
    pairs: list[Flip]

    def out(self, d: int) -> np.ndarray:
        """[options] excluded in decision d, by a knock-out or by an earlier choice."""
        rule = incompatible(self.model, d, self.choices[None, :])
        return (self.bars.excluded[d] | rule)[0]

    def allowed(self, d: int) -> np.ndarray:
        """[options] what may be recommended in decision d."""
        return open_to(self.out(d)[None, :], self.bars.blocked[d])[0]

    def certain(self, condition: Condition) -> bool:
        return bool(holds(condition, self.levels[None, :])[0])

    def possible(self, condition: Condition) -> bool:
        return bool(may_hold(condition, self.levels[None, :])[0])


def evaluate(model: Model, answers: Answers, *, seed: int = SEED, draws: int = DRAWS) -> Result:
    """Everything there is to say about these answers; the same arguments, the same result."""
    case = _case(model, answers, seed, draws)
    decisions = tuple(_decision(case, d) for d in range(len(model.decisions)))
    risks = _risks(case)
    return Result(
        model=model,
        answers=answers,
        seed=seed,
        draws=draws,
        composite=_composite(case, decisions),
        knockouts=tuple(_knockout(case, k) for k in model.knockouts),
        decisions=decisions,
        next_questions=_next_questions(case),
        comparison=_comparison(case),
        claims=_claims(case),
        risks=risks,
        first_steps=_first_steps(case, risks),
        estimates=estimate(model, answers),
    )


def choose_only(model: Model, answers: Answers) -> dict[str, str | None]:
    """The recommended option of each decision and nothing else: fast, for comparing many sets."""
    levels = as_asked(model, levels_of(model, answers)[None, :])
    choices = choose(model, all_scores(model, levels), barred(model, levels))[0]
    return {d.id: _option_id(d, c) for d, c in zip(model.decisions, choices, strict=True)}


def _case(model: Model, answers: Answers, seed: int, draws: int) -> _Case:
    given = levels_of(model, answers)
    levels = as_asked(model, given[None, :])
    found, bars = all_scores(model, levels), barred(model, levels)
    singles, pairs = find_flips(model, given)
    return _Case(
        model=model,
        answers=answers,
        levels=levels[0],
        scores=[s[0] for s in found],
        bars=bars,
        choices=choose(model, found, bars)[0],
        draws=draw(model, levels[0], seed, draws),
        singles=singles,
        pairs=pairs,
    )


def _option_id(decision: Decision, option: int) -> str | None:
    return None if option == NO_OPTION else decision.options[option].id


def _decision(case: _Case, d: int) -> DecisionResult:
    decision = case.model.decisions[d]
    chosen = int(case.choices[d])
    if chosen == NO_OPTION:
        return _no_option(case, d)
    allowed = case.allowed(d)
    tied = ties(case.scores[d], allowed, chosen)
    runner_up = _versus(case, d, chosen, _best(case, d, allowed, besides=chosen))
    state, why = _state(case, d, chosen, tied)
    return DecisionResult(
        id=decision.id,
        title=decision.title,
        recommended=decision.options[chosen].id,
        label=decision.options[chosen].label,
        conditions=_mitigations(case, d, chosen),
        state=state,
        state_why=why,
        because=_because(decision, runner_up),
        options=_options(case, d),
        tied_with=tuple(decision.options[o].id for o in tied),
        runner_up=runner_up,
        simplest=_versus(case, d, chosen, _simplest(case, d, allowed, besides=chosen)),
        simplest_adequate=_simplest_adequate(case, d, allowed),
        better_once_mitigated=_mitigable(case, d, chosen),
        stability=_stability(case, d, chosen, allowed),
        flips=_flips(case, case.singles, d),
        pairs=_flips(case, case.pairs, d),
    )


def _no_option(case: _Case, d: int) -> DecisionResult:
    decision = case.model.decisions[d]
    why = "every option is excluded; see the knock-outs and the rules between decisions"
    return DecisionResult(
        id=decision.id,
        title=decision.title,
        recommended=None,
        label="none",
        conditions=(),
        state="undecided",
        state_why=why,
        because=why,
        options=_options(case, d),
        tied_with=(),
        runner_up=None,
        simplest=None,
        simplest_adequate=None,
        better_once_mitigated=None,
        stability=(),
        flips=_flips(case, case.singles, d),
        pairs=_flips(case, case.pairs, d),
    )


def _options(case: _Case, d: int) -> tuple[OptionResult, ...]:
    decision, draws = case.model.decisions[d], case.draws
    low, high = interval(decision, case.levels)
    first = share_first(draws.choices[:, d], len(decision.options))
    free = share_first(draws.free[:, d], len(decision.options))
    ranks = rank_acceptability(draws.ranked[d])
    results = []
    for o, option in enumerate(decision.options):
        status, by = _status(case, d, o)
        results.append(
            OptionResult(
                id=option.id,
                label=option.label,
                score=float(case.scores[d][o]),
                low=float(low[o]),
                high=float(high[o]),
                status=status,
                by=by,
                first=float(first[o]),
                first_free=float(free[o]),
                ranks=tuple(ranks[o].tolist()),
                central=_central(case, d, o),
            )
        )
    return tuple(results)


def _central(case: _Case, d: int, o: int) -> dict[str, float] | None:
    weights = central_weights(case.draws.weights[d], case.draws.free[:, d] == o)
    if weights is None:
        return None
    names = [c.id for c in case.model.decisions[d].criteria]
    return dict(zip(names, weights.tolist(), strict=True))


def _status(case: _Case, d: int, o: int) -> tuple[str, tuple[str, ...]]:
    firing = [k for k in _knockouts_on(case.model, d, o) if case.certain(k.when)]
    rules = [
        c.id
        for c in case.model.compatibility
        if case.choices[c.given[0]] == c.given[1] and (d, o) in c.excludes
    ]
    excluding = [k.id for k in firing if k.kind == "excluded"] + rules
    if excluding:
        return "excluded", tuple(excluding)
    return ("blocked", tuple(k.id for k in firing)) if firing else ("clear", ())


def _knockouts_on(model: Model, d: int, o: int) -> list[Knockout]:
    return [k for k in model.knockouts if any(t.choice == (d, o) for t in k.targets)]


def _mitigations(case: _Case, d: int, o: int) -> tuple[str, ...]:
    return tuple(
        k.mitigation
        for k in _knockouts_on(case.model, d, o)
        if k.kind == "blocked" and k.mitigation and case.certain(k.when)
    )


def _best(case: _Case, d: int, among: np.ndarray, *, besides: int) -> int | None:
    candidates = [int(o) for o in np.flatnonzero(among) if o != besides]
    burdens = case.model.decisions[d].burdens
    return max(candidates, key=lambda o: (case.scores[d][o], -burdens[o]), default=None)


def _simplest(case: _Case, d: int, among: np.ndarray, *, besides: int) -> int | None:
    """The option with the least burden; None when that is the chosen one itself."""
    simplest = min(np.flatnonzero(among), key=lambda o: case.model.decisions[d].burdens[o])
    return None if simplest == besides else int(simplest)


def _simplest_adequate(case: _Case, d: int, among: np.ndarray) -> str | None:
    decision = case.model.decisions[d]
    adequate = among & (case.scores[d] >= case.model.adequate.value)
    order = sorted(np.flatnonzero(adequate), key=lambda o: decision.burdens[o])
    return decision.options[order[0]].id if order else None


def _mitigable(case: _Case, d: int, chosen: int) -> Mitigable | None:
    hopeful = ~case.out(d) & case.bars.blocked[d][0]
    better = _best(case, d, hopeful, besides=chosen)
    if better is None or case.scores[d][better] <= case.scores[d][chosen]:
        return None
    option = case.model.decisions[d].options[better].id
    return Mitigable(option, _mitigations(case, d, better))


def _versus(case: _Case, d: int, chosen: int, rival: int | None) -> Versus | None:
    if rival is None:
        return None
    decision = case.model.decisions[d]
    gap = float(case.scores[d][chosen] - case.scores[d][rival])
    reasons = _reasons(case, decision, chosen, rival)
    return Versus(decision.options[rival].id, gap, reasons)


def _reasons(case: _Case, decision: Decision, option: int, rival: int) -> tuple[Reason, ...]:
    """The contributions in words, the largest first."""
    reasons = []
    for part in contributions(decision, case.levels, option, rival):
        criterion = decision.criteria[part.criterion]
        asked = None if criterion.question is None else case.model.questions[criterion.question]
        reasons.append(
            Reason(
                criterion=criterion.id,
                title=criterion.title,
                question=None if asked is None else asked.id,
                answer=_answer_text(case, criterion.question),
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


def _answer_text(case: _Case, question: int | None) -> str:
    if question is None:
        return "whatever the answers"
    level = int(case.levels[question])
    if level == UNKNOWN:
        return NOT_SURE
    if level == NOT_APPLICABLE:
        return "does not apply"
    return case.model.questions[question].answers[level].label


def _because(decision: Decision, runner_up: Versus | None) -> str:
    if runner_up is None:
        return "it is the only option that no rule excludes"
    rival = next(o.label for o in decision.options if o.id == runner_up.rival)
    strongest = [r for r in runner_up.reasons if r.amount > 0][:3]
    words = "; ".join(f"{r.title.lower()} ({r.answer})" for r in strongest)
    return f"against {rival}: {words}" if words else f"it is no better than {rival}, but simpler"


def _state(case: _Case, d: int, chosen: int, tied: list[int]) -> tuple[str, str]:
    decision = case.model.decisions[d]
    first = int((case.draws.choices[:, d] == chosen).sum())
    total = len(case.draws.choices)
    counted = f"first in {first:,} of {total:,} weightings"
    unsure = _unsure_knockouts(case, d, chosen)
    if unsure:
        return "undecided", f"{counted}, but {unsure[0]} would bar it, and that is not known"
    if tied:
        others = ", ".join(decision.options[o].label for o in tied)
        return "undecided", f"tied with {others}; the simpler one is named"
    if first / total < LEADING_SHARE:
        return "undecided", f"{counted}, fewer than half"
    if first / total >= ROBUST_SHARE and _certain(case, d, chosen):
        return "robust", f"{counted}, and no open question can change it"
    return "leaning", counted


def _certain(case: _Case, d: int, chosen: int) -> bool:
    """Whether the option stays first whatever the open questions' answers are."""
    gaps = [
        smallest_gap(case.model.decisions[d], case.levels, chosen, int(rival))
        for rival in np.flatnonzero(case.allowed(d))
        if rival != chosen
    ]
    flipped_by_open = any(
        case.levels[change.question] == UNKNOWN
        for flip in case.singles
        if flip.decision == d
        for change in flip.changes
    )
    barred_by_open = bool(_open_knockouts(case, d, chosen))
    return all(gap > 0 for gap in gaps) and not flipped_by_open and not barred_by_open


def _open_knockouts(case: _Case, d: int, o: int) -> list[Knockout]:
    on = _knockouts_on(case.model, d, o)
    return [k for k in on if case.possible(k.when) and not case.certain(k.when)]


def _unsure_knockouts(case: _Case, d: int, o: int) -> list[str]:
    """The open knock-outs on the option that hang on an explicit "not sure"."""
    ids = [q.id for q in case.model.questions]
    unsure = {q for q, id in enumerate(ids) if (g := case.answers.given.get(id)) and g.not_sure}
    return [
        f"{k.id} ({k.title.lower()})"
        for k in _open_knockouts(case, d, o)
        if unsure & {q for alternative in k.when for q in alternative}
    ]


def _stability(case: _Case, d: int, chosen: int, allowed: np.ndarray) -> tuple[WeightRange, ...]:
    decision = case.model.decisions[d]
    rivals = [o for o in np.flatnonzero(allowed) if o != chosen]
    if not rivals:
        return ()
    weights = weights_for(decision, case.levels)
    values = criterion_values(decision, case.levels[None, :])[0][:, [chosen, *rivals]]
    ranges = stability(weights, values, 0)
    return tuple(
        WeightRange(c.id, float(w), low, high)
        for c, w, (low, high) in zip(decision.criteria, weights, ranges, strict=True)
    )


def _flips(case: _Case, flips: list[Flip], d: int) -> tuple[FlipResult, ...]:
    return tuple(
        FlipResult(
            to=_option_id(case.model.decisions[d], flip.option),
            changes=tuple(_change(case, c.question, c.level) for c in flip.changes),
        )
        for flip in flips
        if flip.decision == d
    )


def _change(case: _Case, question: int, level: int) -> ChangeResult:
    asked = case.model.questions[question]
    given = case.answers.given.get(asked.id)
    before = None if given is None or given.level is None else asked.answers[given.level].id
    return ChangeResult(asked.id, before, asked.answers[level].id, asked.changes)


def _knockout(case: _Case, knockout: Knockout) -> KnockoutResult:
    state = "clear"
    if case.possible(knockout.when):
        state = "fires" if case.certain(knockout.when) else "open"
    asked = sorted({q for alternative in knockout.when for q in alternative})
    return KnockoutResult(
        id=knockout.id,
        title=knockout.title,
        state=state,
        kind=knockout.kind,
        excludes=tuple(t.name for t in knockout.targets),
        labels=tuple(t.label for t in knockout.targets),
        mitigation=knockout.mitigation,
        why=knockout.why,
        depends_on=tuple(case.model.questions[q].id for q in asked if case.levels[q] == UNKNOWN),
        source=knockout.source,
        confidence=knockout.confidence,
    )


def _next_questions(case: _Case) -> tuple[NextQuestion, ...]:
    questions = case.model.questions
    return tuple(
        NextQuestion(
            question=questions[item.question].id,
            text=questions[item.question].text,
            bits=item.bits,
            rise=item.rise,
            matters=item.bits >= WORTH_ASKING,
        )
        for item in what_to_ask(case.model, case.levels, case.draws)
    )


def _comparison(case: _Case) -> tuple[DimensionResult, ...]:
    results = []
    for dimension in case.model.comparison:
        decision = dimension.decision
        weights = weights_for(decision, case.levels)
        rest, events = scores(decision, case.levels[None, :], weights)[0]
        better = "even" if abs(rest - events) < EVEN else ("rest" if rest > events else "events")
        ahead, behind = (0, 1) if rest >= events else (1, 0)
        results.append(
            DimensionResult(
                id=decision.id,
                title=decision.title,
                rest=float(rest),
                events=float(events),
                better=better,
                rest_text=dimension.rest,
                events_text=dimension.events,
                reasons=_reasons(case, decision, ahead, behind),
            )
        )
    return tuple(results)


def _claims(case: _Case) -> tuple[ClaimResult, ...]:
    return tuple(
        ClaimResult(
            id=claim.id,
            text=claim.text,
            says=claim.says,
            applies=case.certain(claim.when) or (None if case.possible(claim.when) else False),
            view=claim.view,
            why=claim.why,
            source=claim.source,
            confidence=claim.confidence,
        )
        for claim in case.model.claims
    )


def _risks(case: _Case) -> tuple[RiskResult, ...]:
    chosen = set(enumerate(case.choices.tolist()))
    return tuple(
        RiskResult(risk.id, risk.text, risk.first_step, risk.source, risk.confidence)
        for risk in case.model.risks
        if (not risk.targets or any(t.choice in chosen for t in risk.targets))
        and (risk.when is None or case.certain(risk.when))
    )


def _first_steps(case: _Case, risks: tuple[RiskResult, ...]) -> tuple[str, ...]:
    steps = [
        step
        for decision, option in zip(case.model.decisions, case.choices, strict=True)
        if option != NO_OPTION
        for step in decision.options[option].first_steps
    ]
    return tuple(dict.fromkeys([*steps, *(risk.first_step for risk in risks)]))


def _composite(case: _Case, decisions: tuple[DecisionResult, ...]) -> Composite:
    chosen = {d.id: d.recommended for d in decisions}
    state = max((d.state for d in decisions), key=STATES.index)
    return Composite(
        sentence=_sentence(case, decisions, state),
        state=state,
        options=chosen,
        conditions=tuple(dict.fromkeys(c for d in decisions for c in d.conditions)),
        patterns={
            name: yes.get(chosen[decision] or "", "no")
            for name, (decision, yes) in PATTERNS.items()
            if decision in chosen
        },
    )


def _sentence(case: _Case, decisions: tuple[DecisionResult, ...], state: str) -> str:
    first, *rest = [
        "no option for " + decision.title.lower()
        if option == NO_OPTION
        else decision.options[option].phrase
        for decision, option in zip(case.model.decisions, case.choices, strict=True)
    ]
    listed = ", ".join(rest[:-1]) + " and " + rest[-1] if len(rest) > 1 else "".join(rest)
    weak = [d.title.lower() for d in decisions if d.state == state]
    which = "" if state == "robust" or len(weak) == len(decisions) else f" on {', '.join(weak)}"
    return f"{state.capitalize()}{which}: build {first}: {listed}."
