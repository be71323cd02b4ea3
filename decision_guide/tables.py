"""The parts of docs/decision-guide.md that are made from the model, so that they cannot drift.

`python -m decision_guide.tables docs/decision-guide.md` writes them anew between their markers.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from decision_guide.answers import MEASURES, REASONS
from decision_guide.cases import Rule, events_from_three, load_cases, measure, never_events
from decision_guide.evaluation import choose_only
from decision_guide.loading import load_model
from decision_guide.model import CONFIDENCE, Model, Question

_GROUPS = {
    "essentials": "The quick pass",
    "organisation": "Organisation",
    "traffic": "Traffic",
    "process": "Process",
    "data": "Data",
}


def questions(model: Model) -> str:
    """Every question with its answers and what they mean, by group."""
    parts = []
    for group, title in _GROUPS.items():
        parts.append(f"### {title}\n")
        parts += [_question(model, q) for q in model.questions if q.group == group]
    return "\n".join(parts)


def _question(model: Model, question: Question) -> str:
    asked = f"\n*Asked only if* {_condition(model, question)}.\n" if question.visible_if else ""
    return (
        f"#### `{question.id}`: {question.text}\n\n"
        f"{question.why}\n\n*How to find out:* {question.find_out}\n{asked}\n"
        f"{_answers(question)}\n"
    )


def _answers(question: Question) -> str:
    if question.unit is None:
        rows = [f"| `{a.id}` | {a.label} |" for a in question.answers]
        return "\n".join(["| answer | meaning |", "| --- | --- |", *rows, ""])
    rows = [f"| `{a.id}` | {a.label} | {a.start:g} |" for a in question.answers]
    head = f"| answer | meaning | or a number ({question.unit}), from |"
    return "\n".join([head, "| --- | --- | --- |", *rows, ""])


def _condition(model: Model, question: Question) -> str:
    alternatives = []
    for alternative in question.visible_if or ():
        parts = []
        for q, levels in alternative.items():
            asked = model.questions[q]
            words = ", ".join(f"`{asked.answers[i].id}`" for i in sorted(levels))
            parts.append(f"`{asked.id}` is {words}")
        alternatives.append(" and ".join(parts))
    return ", or ".join(alternatives)


def decisions(model: Model) -> str:
    """Every decision with its options and the criteria that weigh on it."""
    parts = []
    for decision in model.decisions:
        options = "\n".join(f"| `{o.id}` | {o.label} | {o.summary} |" for o in decision.options)
        criteria = ", ".join(
            f"{c.title.lower()} {c.weight:.0%} [{c.confidence}]"
            for c in sorted(decision.criteria, key=lambda c: -c.weight)
        )
        parts.append(
            f"### `{decision.id}`: {decision.problem}\n\n"
            f"| option | name | what it is |\n| --- | --- | --- |\n{options}\n\n"
            f"Criteria and weights: {criteria}.\n"
        )
    return "\n".join(parts)


def knockouts(model: Model) -> str:
    """Every knock-out with what it excludes or blocks."""
    rows = []
    for k in model.knockouts:
        what = ", ".join(f"`{t.name}`" for t in k.targets)
        until = k.mitigation or "-"
        rows.append(f"| {k.id} | {k.title} | {k.kind}: {what} | {until} | {k.confidence} |")
    head = "| id | when | effect | mitigation | source |\n| --- | --- | --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"


def claims(model: Model) -> str:
    """The customer's criteria with the guide's view of each."""
    rows = [f"| {c.says} | {c.text} | {c.view} [{c.confidence}] | {c.why} |" for c in model.claims]
    head = "| says | when | the guide | why |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"


def words(model: Model) -> str:
    """The small fixed vocabularies."""
    letters = "; ".join(f"**{letter}** {meaning}" for letter, meaning in CONFIDENCE.items())
    reasons = ", ".join(f"`{r}`" for r in REASONS)
    measures = ", ".join(f"`{m}`" for m in MEASURES)
    return (
        f"* Letters beside every number: {letters}.\n"
        f'* Reasons for "does not apply": {reasons}.\n'
        f"* Measures: {measures}.\n"
    )


def hit_rates(model: Model) -> str:
    """How often the guide and two simple rules agree with the published decisions."""
    cases = load_cases(model)
    rules: dict[str, Rule] = {
        "the guide, all facts": lambda case: choose_only(model, case.answers),
        "the guide, without guessed facts": lambda case: choose_only(model, case.known),
        'the rule "never events"': never_events(model),
        'the rule "events from three consumers"': events_from_three(model),
    }
    rows = []
    for name, rule in rules.items():
        rate = measure(cases, rule)
        whole = f"{rate.cases_right} of {rate.cases}"
        rows.append(f"| {name} | {whole} | {rate.choices_right} of {rate.choices} |")
    head = "| rule | cases right | choices right |\n| --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"


PARTS: dict[str, Callable[[Model], str]] = {
    f.__name__: f for f in (questions, decisions, knockouts, claims, words, hit_rates)
}


def renewed(text: str, model: Model) -> str:
    """The document with every generated part made anew; ValueError when a marker is missing."""
    for name, make in PARTS.items():
        pattern = re.compile(f"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        parts = pattern.split(text)
        text = f"\n{make(model)}\n".join(["".join(parts[:2]), "".join(parts[2:])])
        if len(parts) != 4:
            raise ValueError(f"the document needs exactly one part named {name}")
    return text


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(renewed(document.read_text("utf-8"), load_model()), encoding="utf-8")
