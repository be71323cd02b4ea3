"""Decision records in the MADR 4 form, written from a result.

One record for each decision, or one for all. The result's JSON rides along in a comment, so that
a record can be scored again years later.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from decision_guide.answers import is_asked
from decision_guide.model import Option
from decision_guide.result import DecisionResult, FlipResult, OptionResult, Reason, Result, Versus

_SHOWN = 6


@dataclass(frozen=True)
class Heading:
    """What the result cannot know: the date (ISO) and who decided, and how far it has come."""

    date: str
    status: str = "proposed"
    decision_makers: Sequence[str] = ()
    consulted: Sequence[str] = ()
    informed: Sequence[str] = ()


def madr(result: Result, decision: str, heading: Heading) -> str:
    """The record of one decision, as Markdown."""
    found = result.decision(decision)
    title = f"{found.title}: {found.label}"
    problem = next(d.problem for d in result.model.decisions if d.id == decision)
    body = [f"# {title}", "", *_context(result, problem), *_decision(result, found)]
    return _written(result, heading, body)


def madr_combined(result: Result, heading: Heading) -> str:
    """One record of all decisions, as Markdown."""
    title = result.answers.title or "Architecture"
    lines = [f"# {title}: {_names(result)}", ""]
    lines += _context(result, result.model.title)
    lines += ["## Decision Drivers", "", *_combined_drivers(result), ""]
    lines += ["## Considered Options", ""]
    for found in result.decisions:
        lines.append(f"* {found.title}: {', '.join(o.label for o in found.options)}")
    lines += ["", "## Decision Outcome", "", result.composite.sentence, ""]
    for found in result.decisions:
        lines.append(f"* {_outcome(found)}")
    lines += ["", "### Consequences", "", *_consequences(result), ""]
    lines += ["### Confirmation", "", *_combined_confirmation(result), ""]
    lines += ["## Pros and Cons of the Options", ""]
    for found in result.decisions:
        lines += [f"### {found.title}", "", *_weighed(found), ""]
    return _written(result, heading, lines)


def _written(result: Result, heading: Heading, body: Sequence[str]) -> str:
    """The record; what people wrote is text in it, never markup."""
    plain = [line.replace("<", "&lt;") for line in body]
    return "\n".join([*_front(heading), *plain, *_more(result)]) + "\n"


def _front(heading: Heading) -> list[str]:
    people = {
        "decision-makers": heading.decision_makers,
        "consulted": heading.consulted,
        "informed": heading.informed,
    }
    rows = [f"status: {json.dumps(heading.status)}", f"date: {heading.date}"]
    rows += [f"{key}: {json.dumps(', '.join(names))}" for key, names in people.items() if names]
    return ["---", *rows, "---", ""]


def _names(result: Result) -> str:
    return ", ".join(d.label for d in result.decisions)


def _context(result: Result, problem: str) -> list[str]:
    questions = {q.id: q for q in result.model.questions}
    lines = ["## Context and Problem Statement", "", problem, "", "What was answered:", ""]
    for id, given in result.answers.given.items():
        question = questions[id]
        said = "not sure" if given.level is None else question.answers[given.level].label
        if given.number is not None:
            said = f"{given.number:,.12g} {question.unit}"
        if given.reason is not None:
            said = f"does not apply ({given.reason})"
        note = f" ({given.note})" if given.note else ""
        lines.append(f"* {question.text} {said[:1].upper()}{said[1:]}{note}")
    asked = is_asked(result.model, result.answers)
    open_ones = [
        q.id
        for q, is_open in zip(result.model.questions, asked, strict=True)
        if is_open and q.id not in result.answers.given
    ]
    if open_ones:
        lines.append(f"* Left open: {', '.join(open_ones)}.")
    return [*lines, ""]


def _decision(result: Result, found: DecisionResult) -> list[str]:
    lines = ["## Decision Drivers", "", *_drivers(result, found), ""]
    lines += ["## Considered Options", "", *(f"* {o.label}" for o in found.options), ""]
    lines += ["## Decision Outcome", "", _outcome(found), ""]
    lines += ["### Consequences", "", *_own_consequences(result, found), ""]
    lines += ["### Confirmation", "", *_confirmation(found), ""]
    return [*lines, "## Pros and Cons of the Options", "", *_weighed(found), ""]


def _drivers(result: Result, found: DecisionResult) -> list[str]:
    drivers = [
        f"* {r.title}: {r.answer} "
        f"(weight {r.weight:.0%}; {r.confidence}, {_cite(result, r.source)})"
        for r in sorted(_reasons(found), key=lambda r: -r.weight)
    ]
    firing = [
        f"* k.o. criterion {k.id}: {k.title}"
        for k in result.knockouts
        if k.state == "fires" and any(e.startswith(f"{found.id}.") for e in k.excludes)
    ]
    return [*firing, *drivers] or ["* none"]


def _combined_drivers(result: Result) -> list[str]:
    lines = [f"* k.o. criterion {k.id}: {k.title}" for k in result.knockouts if k.state == "fires"]
    for found in result.decisions:
        lines.append(f"* {found.title}: {found.because}")
    return lines


def _reasons(found: DecisionResult) -> tuple[Reason, ...]:
    versus = found.runner_up or found.simplest
    return versus.reasons if versus else ()


def _cite(result: Result, ids: Iterable[str]) -> str:
    sources = [result.model.sources[id] for id in ids]
    return "; ".join(f"{s.organisation}{f' {s.year}' if s.year else ''}" for s in sources)


def _outcome(found: DecisionResult) -> str:
    if found.recommended is None:
        return f"No option of {found.title} is left: {found.because}."
    if found.runner_up is None:
        reason = "only option which meets the k.o. criteria"
    else:
        reason = f"it comes out best {found.because}"
    condition = f" On condition: {' '.join(found.conditions)}" if found.conditions else ""
    state = f"{found.state.capitalize()}: {found.state_why}."
    return f'Chosen option: "{found.label}", because {reason}. {state}{condition}'


def _own_consequences(result: Result, found: DecisionResult) -> list[str]:
    option = next((o for o in _options(result, found.id) if o.id == found.recommended), None)
    if option is None:
        return ["* Neutral, because nothing is chosen"]
    good = [f"* Good, because {_lower(option.summary)}"]
    bad = [f"* Bad, because {_lower(pitfall)}" for pitfall in option.pitfalls]
    return good + bad


def _options(result: Result, decision: str) -> tuple[Option, ...]:
    return next(d.options for d in result.model.decisions if d.id == decision)


def _consequences(result: Result) -> list[str]:
    lines = []
    for found in result.decisions:
        lines += _own_consequences(result, found)
    lines += [f"* Risk: {risk.text} First step: {risk.first_step}" for risk in result.risks]
    return lines


def _confirmation(found: DecisionResult) -> list[str]:
    lines = [f"* Revisit when {_change_text(f)}: then {f.to}" for f in found.flips[:_SHOWN]]
    if not lines:
        lines = [f"* Revisit when {_change_text(f)}: then {f.to}" for f in found.pairs[:_SHOWN]]
    return lines or ["* No single answer and no pair of answers would change this decision."]


def _combined_confirmation(result: Result) -> list[str]:
    lines = []
    for found in result.decisions:
        for flip in found.flips[:2]:
            lines.append(f"* Revisit {found.title} when {_change_text(flip)}: then {flip.to}")
    return lines or ["* No single answer would change a decision."]


def _change_text(flip: FlipResult) -> str:
    return " and ".join(f"{c.question} becomes {c.after}" for c in flip.changes)


def _weighed(found: DecisionResult) -> list[str]:
    lines = []
    for option in found.options:
        lines += [f"#### {option.label}", "", *_arguments(found, option), ""]
    return lines[:-1]


def _arguments(found: DecisionResult, option: OptionResult) -> list[str]:
    rows = [f"Score {option.score:.3f} ({option.low:.3f} to {option.high:.3f}), {option.status}."]
    if option.by:
        rows.append(f"* Bad, because of {', '.join(option.by)}")
    for versus, own in _seen_by(found, option):
        for reason in versus.reasons[:_SHOWN]:
            rows.append(
                f"* {_verdict(reason, own)}, because of {_lower(reason.title)}: {reason.why}"
            )
    return [rows[0], "", *rows[1:]] if len(rows) > 1 else rows


def _seen_by(found: DecisionResult, option: OptionResult) -> list[tuple[Versus, bool]]:
    """The comparison this option takes part in, and whether it is the winner's side."""
    if option.id == found.recommended:
        return [(found.runner_up, True)] if found.runner_up else []
    rivals = [v for v in (found.runner_up, found.simplest) if v is not None]
    return [(v, False) for v in rivals if v.rival == option.id][:1]


def _verdict(reason: Reason, own: bool) -> str:
    amount = reason.amount if own else -reason.amount
    if abs(amount) < 0.005:
        return "Neutral"
    return "Good" if amount > 0 else "Bad"


def _more(result: Result) -> list[str]:
    model = result.model
    document = json.dumps(result.to_json(), ensure_ascii=False, sort_keys=True)
    return [
        "## More Information",
        "",
        f"Model {model.id} {model.version} ({model.hash}), answers "
        f"{result.answers.hash(model)}, seed {result.seed}, {result.draws:,} draws.",
        "",
        f"<!-- offsetzero-guide-result {_for_comment(document)} -->",
    ]


def _for_comment(document: str) -> str:
    """JSON that cannot end an HTML comment: two hyphens never stand side by side."""
    return document.replace("--", "-\\u002d")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")
