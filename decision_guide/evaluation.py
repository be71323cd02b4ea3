"""From a model and answers to a result that explains itself, or to its outline."""

import numpy as np

from decision_guide.answers import Answers, as_asked, levels_of
from decision_guide.computed import Computed, Outlined, compute, compute_outline, option_id
from decision_guide.conditions import UNKNOWN
from decision_guide.deciding import decide, reasons_for
from decision_guide.estimates import estimate
from decision_guide.leaning import lean
from decision_guide.model import Knockout, Model
from decision_guide.result import (
    ClaimResult,
    Composite,
    DecisionResult,
    DimensionResult,
    KnockoutResult,
    NextQuestion,
    Outline,
    Result,
    RiskResult,
)
from decision_guide.robustness import WORTH_ASKING, what_to_ask
from decision_guide.scoring import all_scores, scores, weights_for
from decision_guide.selection import NO_OPTION, barred, choose

SEED = 7
DRAWS = 10_000
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


def evaluate(model: Model, answers: Answers, *, seed: int = SEED, draws: int = DRAWS) -> Result:
    """Everything there is to say about these answers; the same arguments, the same result."""
    computed = compute(model, answers, np.random.default_rng(seed), draws)
    decisions = tuple(decide(computed, d) for d in range(len(model.decisions)))
    risks = _risks(computed)
    return Result(
        model=model,
        answers=answers,
        seed=seed,
        draws=draws,
        composite=_composite(computed, decisions),
        knockouts=tuple(_knockout(computed, k) for k in model.knockouts),
        decisions=decisions,
        next_questions=_next_questions(computed),
        comparison=_comparison(computed),
        claims=_claims(computed),
        risks=risks,
        first_steps=_first_steps(computed, risks),
        estimates=estimate(model, answers),
    )


def outline(model: Model, answers: Answers, *, seed: int = SEED, draws: int = DRAWS) -> Outline:
    """The decisions in brief and what to ask next, as `evaluate` with the same arguments has them,
    in less than half of its time."""
    computed = compute_outline(model, answers, np.random.default_rng(seed), draws)
    return Outline(
        decisions=tuple(lean(computed, d) for d in range(len(model.decisions))),
        next_questions=_next_questions(computed),
    )


def choose_only(model: Model, answers: Answers) -> dict[str, str | None]:
    """The recommended option of each decision and nothing else: fast, for comparing many sets."""
    levels = as_asked(model, levels_of(model, answers)[None, :])
    choices = choose(model, all_scores(model, levels), barred(model, levels))[0]
    return {d.id: option_id(d, c) for d, c in zip(model.decisions, choices, strict=True)}


def _knockout(computed: Computed, knockout: Knockout) -> KnockoutResult:
    state = {True: "fires", False: "clear", None: "open"}[computed.truth(knockout.when)]
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
        depends_on=tuple(
            computed.model.questions[q].id for q in asked if computed.levels[q] == UNKNOWN
        ),
        source=knockout.source,
        confidence=knockout.confidence,
    )


def _next_questions(computed: Outlined) -> tuple[NextQuestion, ...]:
    questions = computed.model.questions
    return tuple(
        NextQuestion(
            question=questions[item.question].id,
            text=questions[item.question].text,
            bits=item.bits,
            rise=item.rise,
            matters=item.bits >= WORTH_ASKING,
        )
        for item in what_to_ask(computed.model, computed.levels, computed.near)
    )


def _comparison(computed: Computed) -> tuple[DimensionResult, ...]:
    results = []
    for dimension in computed.model.comparison:
        decision = dimension.decision
        weights = weights_for(decision, computed.levels)
        rest, events = scores(decision, computed.levels[None, :], weights)[0]
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
                reasons=reasons_for(computed, decision, ahead, behind),
            )
        )
    return tuple(results)


def _claims(computed: Computed) -> tuple[ClaimResult, ...]:
    return tuple(
        ClaimResult(
            id=claim.id,
            text=claim.text,
            says=claim.says,
            applies=computed.truth(claim.when),
            view=claim.view,
            why=claim.why,
            source=claim.source,
            confidence=claim.confidence,
        )
        for claim in computed.model.claims
    )


def _risks(computed: Computed) -> tuple[RiskResult, ...]:
    chosen = set(enumerate(computed.choices.tolist()))
    return tuple(
        RiskResult(risk.id, risk.text, risk.first_step, risk.source, risk.confidence)
        for risk in computed.model.risks
        if (not risk.targets or any(t.choice in chosen for t in risk.targets))
        and (risk.when is None or computed.truth(risk.when))
    )


def _first_steps(computed: Computed, risks: tuple[RiskResult, ...]) -> tuple[str, ...]:
    steps = [
        step
        for decision, option in zip(computed.model.decisions, computed.choices, strict=True)
        if option != NO_OPTION
        for step in decision.options[option].first_steps
    ]
    return tuple(dict.fromkeys([*steps, *(risk.first_step for risk in risks)]))


def _composite(computed: Computed, decisions: tuple[DecisionResult, ...]) -> Composite:
    chosen = {d.id: d.recommended for d in decisions}
    state = max((d.state for d in decisions), key=STATES.index)
    return Composite(
        sentence=_sentence(computed, decisions, state),
        state=state,
        options=chosen,
        conditions=tuple(dict.fromkeys(c for d in decisions for c in d.conditions)),
        patterns={
            name: yes.get(chosen[decision] or "", "no")
            for name, (decision, yes) in PATTERNS.items()
            if decision in chosen
        },
    )


def _sentence(computed: Computed, decisions: tuple[DecisionResult, ...], state: str) -> str:
    first, *rest = [
        "no option for " + decision.title.lower()
        if option == NO_OPTION
        else decision.options[option].phrase
        for decision, option in zip(computed.model.decisions, computed.choices, strict=True)
    ]
    listed = ", ".join(rest[:-1]) + " and " + rest[-1] if len(rest) > 1 else "".join(rest)
    weak = [d.title.lower() for d in decisions if d.state == state]
    which = "" if state == "robust" or len(weak) == len(decisions) else f" on {', '.join(weak)}"
    return f"{state.capitalize()}{which}: build {first}: {listed}."
