"""Faults of a model that its schema cannot see: what never happens, what cannot be explained.

Most checks look at many answer sets drawn at random; the same model gives the same findings.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from decision_guide.answers import Answers, Given, as_asked, parse_answers
from decision_guide.conditions import UNKNOWN, holds
from decision_guide.errors import GuideError, Problem
from decision_guide.evaluation import evaluate
from decision_guide.loading import parse_model
from decision_guide.model import Decision, Model
from decision_guide.scoring import all_scores, contributions, interval, scores, weights_for
from decision_guide.selection import NO_OPTION, Barred, barred, choose

SAMPLES = 4_000
LEAST_SHARE = 0.01
"""Every option should win in at least this share of the answer sets drawn."""
_SEED = 1
_EXACT = 1e-9


def lint(model: Model, old_files: Iterable[Mapping[str, Any]] = ()) -> list[Problem]:
    """Everything found; an empty list is a clean model. `old_files` are answer documents that must
    still be readable."""
    levels = _sample(model)
    choices = _choices(model, levels)
    checks: list[Callable[[], Iterable[Problem]]] = [
        lambda: _unreachable_options(model, choices),
        lambda: _dead_ends(model, choices),
        lambda: _rules_that_never_fire(model, levels, choices),
        lambda: _idle_questions(model, levels),
        lambda: _gaps_not_explained(model, levels[:200]),
        lambda: _not_monotone(model),
        lambda: _escaped_intervals(model, levels[:200]),
        lambda: _order_matters(model, levels, choices),
        lambda: _rank_reversals(model, levels, choices),
        lambda: _not_repeatable(model),
        lambda: _sources(model),
        lambda: _old_files(model, old_files),
    ]
    return [problem for check in checks for problem in check()]


def _sample(model: Model) -> np.ndarray:
    """[SAMPLES, questions] answer sets, every answer to a question equally likely."""
    rng = np.random.default_rng(_SEED)
    columns = [rng.integers(len(q.answers), size=SAMPLES) for q in model.questions]
    return as_asked(model, np.stack(columns, axis=1))


def _choices(model: Model, levels: np.ndarray) -> np.ndarray:
    return choose(model, all_scores(model, levels), barred(model, levels))


def _unreachable_options(model: Model, choices: np.ndarray) -> Iterable[Problem]:
    for d, decision in enumerate(model.decisions):
        for o, option in enumerate(decision.options):
            share = float((choices[:, d] == o).mean())
            if share < LEAST_SHARE:
                path = f"$.decisions[{d}].options[{o}]"
                what = f"{decision.id}.{option.id} wins {share:.2%} of the answer sets drawn"
                yield Problem(path, f"{what}, less than {LEAST_SHARE:.0%}")


def _dead_ends(model: Model, choices: np.ndarray) -> Iterable[Problem]:
    for d, decision in enumerate(model.decisions):
        share = float((choices[:, d] == NO_OPTION).mean())
        if share:
            what = f"{decision.id} has no option left in {share:.2%} of the answer sets drawn"
            yield Problem(f"$.decisions[{d}]", what)


def _rules_that_never_fire(
    model: Model, levels: np.ndarray, choices: np.ndarray
) -> Iterable[Problem]:
    conditions = [(f"$.knockouts[{i}]", k.id, k.when) for i, k in enumerate(model.knockouts)]
    conditions += [(f"$.claims[{i}]", c.id, c.when) for i, c in enumerate(model.claims)]
    for where, id, when in conditions:
        for a, alternative in enumerate(when):
            if not holds((alternative,), levels).any():
                yield Problem(f"{where}.when[{a}]", f"{id}: this never holds")
    for i, rule in enumerate(model.compatibility):
        if not (choices[:, rule.given[0]] == rule.given[1]).any():
            yield Problem(f"$.compatibility[{i}]", f"{rule.id} never applies")
    for i, risk in enumerate(model.risks):
        applies = np.ones(len(levels), bool) if risk.when is None else holds(risk.when, levels)
        chosen = [choices[:, t.choice[0]] == t.choice[1] for t in risk.targets if t.choice]
        if not (applies & (np.logical_or.reduce(chosen) if chosen else True)).any():
            yield Problem(f"$.risks[{i}]", f"{risk.id} never applies")


def _idle_questions(model: Model, levels: np.ndarray) -> Iterable[Problem]:
    rows = levels[: SAMPLES // 4]
    for q, question in enumerate(model.questions):
        results = []
        for level in range(len(question.answers)):
            changed = rows.copy()
            changed[:, q] = level
            results.append(_choices(model, as_asked(model, changed)))
        if all((result == results[0]).all() for result in results):
            what = f"{question.id}: no answer to it changes any decision"
            yield Problem(f"$.questions[{q}]", what)


def _gaps_not_explained(model: Model, levels: np.ndarray) -> Iterable[Problem]:
    for d, decision in enumerate(model.decisions):
        found = scores(decision, levels, weights_for(decision, levels[0]))
        for row, got in zip(levels, found, strict=True):
            parts = sum(c.amount for c in contributions(decision, row, 0, 1))
            if abs(parts - (got[0] - got[1])) > _EXACT:
                what = f"{decision.id}: contributions do not sum to the gap"
                yield Problem(f"$.decisions[{d}]", what)
                break


def _not_monotone(model: Model) -> Iterable[Problem]:
    for i, rule in enumerate(model.monotone):
        decision, question = model.decisions[rule.decision], model.questions[rule.question]
        lead = _lead(decision, rule.question, rule.favours, rule.over, len(question.answers))
        if (np.diff(lead) < -_EXACT).any():
            better, worse = decision.options[rule.favours].id, decision.options[rule.over].id
            what = f"{decision.id}: {better} loses against {worse} as {question.id} goes up"
            yield Problem(f"$.monotone[{i}]", what)


def _lead(decision: Decision, question: int, better: int, worse: int, answers: int) -> np.ndarray:
    """[answers] how far one option leads another by the criteria on this question."""
    on = (decision.asked == question) & ~decision.constant
    gaps = decision.values[on, better, :answers] - decision.values[on, worse, :answers]
    return decision.weights[on] @ gaps


def _escaped_intervals(model: Model, levels: np.ndarray) -> Iterable[Problem]:
    rng = np.random.default_rng(_SEED)
    for row in levels:
        hidden = np.where(rng.random(len(row)) < 0.3, UNKNOWN, row)
        for d, decision in enumerate(model.decisions):
            low, high = interval(decision, hidden)
            score = scores(decision, row[None, :], weights_for(decision, row))[0]
            if (score < low - _EXACT).any() or (score > high + _EXACT).any():
                what = f"{decision.id}: a score lies outside its not-sure interval"
                yield Problem(f"$.decisions[{d}]", what)
                return


def _order_matters(model: Model, levels: np.ndarray, choices: np.ndarray) -> Iterable[Problem]:
    reversed_options = [
        {**decision, "options": decision["options"][::-1]}
        for decision in model.document["decisions"]
    ]
    other = parse_model({**model.document, "decisions": reversed_options})
    there = _choices(other, levels)
    for d, decision in enumerate(model.decisions):
        mirrored = len(decision.options) - 1 - there[:, d]
        if (mirrored != choices[:, d])[there[:, d] != NO_OPTION].any():
            what = f"{decision.id}: the order of its options changes the choice"
            yield Problem(f"$.decisions[{d}].options", what)


def _rank_reversals(model: Model, levels: np.ndarray, choices: np.ndarray) -> Iterable[Problem]:
    found, bars = all_scores(model, levels), barred(model, levels)
    for d, decision in enumerate(model.decisions):
        for o in range(len(decision.options)):
            excluded = [mask.copy() for mask in bars.excluded]
            excluded[d][:, o] = True
            without = choose(model, found, Barred(excluded, bars.blocked))[:, d]
            lost = choices[:, d] != o
            if (without[lost] != choices[lost, d]).any():
                what = f"dropping the losing option {decision.options[o].id} changes the choice"
                yield Problem(f"$.decisions[{d}].options[{o}]", what)


def _not_repeatable(model: Model) -> Iterable[Problem]:
    answers = Answers({model.questions[0].id: Given(level=0)})
    first, second = (
        json.dumps(evaluate(model, answers, draws=500).to_json(), sort_keys=True) for _ in range(2)
    )
    if first != second:
        yield Problem("$", "two evaluations with the same seed differ")


def _sources(model: Model) -> Iterable[Problem]:
    used = {name for names in _cited(model.document) for name in names}
    for name in model.sources.keys() - used:
        yield Problem(f"$.sources.{name}", "is cited nowhere")


def _cited(node: Any) -> Iterable[list[str]]:
    if isinstance(node, Mapping):
        for key, item in node.items():
            if key == "source":
                yield item
            else:
                yield from _cited(item)
    elif isinstance(node, list):
        for item in node:
            yield from _cited(item)


def _old_files(model: Model, documents: Iterable[Mapping[str, Any]]) -> Iterable[Problem]:
    for i, document in enumerate(documents):
        try:
            evaluate(model, parse_answers(model, dict(document)), draws=100)
        except GuideError as error:
            for problem in error.problems:
                yield Problem(f"old file {i + 1} {problem.path}", problem.message)
