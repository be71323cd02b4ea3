"""A result as plain text for a terminal: the sentence first, then knock-outs, then the proof."""

import textwrap
from collections.abc import Iterable

from decision_guide.result import DecisionResult, FlipResult, Result, Versus

_WIDTH = 96
_FLIPS_SHOWN = 5


def text_report(result: Result) -> str:
    """The whole result, wrapped for a terminal."""
    parts = [
        _summary(result),
        _knockouts(result),
        *(_decision(d) for d in result.decisions),
        _comparison(result),
        _claims(result),
        _next(result),
        _list("Risks", (f"{r.text} -> {r.first_step}" for r in result.risks)),
        _list("First steps", result.first_steps),
        _estimates(result),
        _provenance(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(title: str, items: Iterable[str]) -> str:
    lines = [_wrapped(f"- {item}", "  ") for item in items]
    return "\n".join([title, *lines]) if lines else ""


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False
    )


def _summary(result: Result) -> str:
    composite = result.composite
    lines = [_wrapped(composite.sentence)]
    lines += [_wrapped(f"- on condition: {c}", "  ") for c in composite.conditions]
    lines += [_wrapped(f"- note: {n}", "  ") for n in result.answers.notices]
    rows = [f"  {d.title:<12} {d.recommended or 'none':<18} {d.state}" for d in result.decisions]
    patterns = ", ".join(f"{k.replace('_', ' ')}: {v}" for k, v in composite.patterns.items())
    return "\n".join([*lines, "", *rows, "", _wrapped(patterns, "  ")])


def _knockouts(result: Result) -> str:
    rows = []
    for k in result.knockouts:
        what = ", ".join(k.labels)
        if k.state == "fires":
            done = "excludes" if k.kind == "excluded" else "blocks"
            until = f" {k.mitigation}" if k.mitigation else ""
            rows.append(f"{k.id} {k.title}: {done} {what}. {k.why}{until}")
        elif k.state == "open" and any(q in result.answers.given for q in k.depends_on):
            verb = "exclude" if k.kind == "excluded" else "block"
            rows.append(f"{k.id} not known: would {verb} {what} if: {k.title.lower()}")
    return _list("Knock-outs", rows) or "Knock-outs\n  none"


def _decision(found: DecisionResult) -> str:
    lines = [f"{found.title}: {found.label}", f"  {found.state}: {found.state_why}"]
    lines.append(_wrapped(found.because, "  "))
    for option in sorted(found.options, key=lambda o: -o.score):
        by = f" by {', '.join(option.by)}" if option.by else ""
        share = f"first in {option.first:6.1%}" if option.status != "excluded" else " " * 15
        span = f"{option.score:.3f} [{option.low:.3f}, {option.high:.3f}]"
        lines.append(f"    {option.id:<18} {span} {share}  {option.status}{by}")
    if found.runner_up:
        lines.append(_versus("against the runner-up", found.runner_up))
    if found.simplest and (not found.runner_up or found.simplest.rival != found.runner_up.rival):
        lines.append(_versus("against the simplest", found.simplest))
    if found.simplest_adequate:
        lines.append(f"  simplest adequate option: {found.simplest_adequate}")
    if found.better_once_mitigated:
        better = found.better_once_mitigated
        once = f"{better.option} would be chosen, once: {' '.join(better.mitigations)}"
        lines.append(_wrapped(once, "  "))
    return "\n".join([*lines, *_flips(found)])


def _versus(title: str, versus: Versus) -> str:
    lines = [f"  {title}, {versus.rival}: {versus.gap:+.3f}"]
    for reason in versus.reasons:
        if abs(reason.amount) >= 0.0005:
            parts = f"{reason.weight:.3f} x ({reason.value:.2f} - {reason.rival_value:.2f})"
            lines.append(
                f"    {reason.amount:+.3f} = {parts}  {reason.title}: {reason.answer} "
                f"[{reason.confidence}]"
            )
    return "\n".join(lines)


def _flips(found: DecisionResult) -> list[str]:
    flips = found.flips or found.pairs
    if not flips:
        return ["  no single answer and no pair of answers would change this"]
    shown = [f"    {_flip(flip)}" for flip in flips[:_FLIPS_SHOWN]]
    more = len(flips) - len(shown)
    return ["  what would change it:", *shown, *([f"    and {more} more"] if more > 0 else [])]


def _flip(flip: FlipResult) -> str:
    changes = " and ".join(f"{c.question} {c.before or 'open'} -> {c.after}" for c in flip.changes)
    return f"{changes}: {flip.to or 'no option'}"


def _comparison(result: Result) -> str:
    rows = []
    for dimension in result.comparison:
        winner = {"rest": "REST", "events": "events", "even": "even"}[dimension.better]
        because = ", ".join(f"{r.title.lower()}: {r.answer}" for r in dimension.reasons[:2])
        rows.append(
            f"{dimension.title:<13} REST {dimension.rest:.2f}  events {dimension.events:.2f}  "
            f"{winner} ({because})"
        )
    return _list("REST against events, for these answers", rows)


def _claims(result: Result) -> str:
    rows = [
        f"{c.says}: {c.text}. The guide {c.view} [{c.confidence}]. {c.why}"
        for c in result.claims
        if c.applies
    ]
    return _list("Your criteria that apply here, and what the guide thinks of them", rows)


def _next(result: Result) -> str:
    worth = [q for q in result.next_questions if q.matters]
    rows = [f"{q.question}: {q.text} ({q.bits:.2f} bits)" for q in worth[:3]]
    title = f"Ask next ({len(worth)} open questions could still change the result)"
    return _list(title, rows) or "Ask next\n  no open question could change the result"


def _estimates(result: Result) -> str:
    rows = []
    for e in result.estimates:
        high = "more" if e.high is None else f"{e.high:,.0f}"
        span = f"{e.low:,.0f}" if e.high == e.low else f"{e.low:,.0f} to {high}"
        rows.append(f"{e.what}: {span} [{e.confidence}] ({e.basis})")
    return _list("Rough figures", rows)


def _provenance(result: Result) -> str:
    model = result.model
    return (
        f"model {model.id} {model.version} ({model.hash}), answers {result.answers.hash(model)}, "
        f"seed {result.seed}, {result.draws:,} draws"
    )
