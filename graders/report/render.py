"""The report for people: as text for a terminal, and as one HTML file that needs nothing else."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from graders.report.build import Report
from graders.verdicts import Verdict

WIDTH = 96


def as_html(report: Report) -> str:
    """A complete page with its styles inside, for screen and paper."""
    checks = report.data["checks"]
    told = [check for check in checks if check["evidence"]]
    return (
        environment()
        .get_template("report/standalone.html")
        .render(
            report=report.data,
            style=style(),
            failed=[c for c in told if c["verdict"] == Verdict.FAIL],
            unsure=[
                c for c in told if c["verdict"] in (Verdict.INCONCLUSIVE, Verdict.HARNESS_ERROR)
            ],
            warned=[c for c in told if c["verdict"] == Verdict.WARN],
        )
    )


@cache
def environment() -> Environment:
    """Jinja for our own templates; every value is escaped."""
    return Environment(
        loader=PackageLoader("graders.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def style() -> str:
    """The styles of the page and of the card."""
    folder = resources.files("graders.report")
    return "".join(folder.joinpath(name).read_text("utf-8") for name in ("page.css", "card.css"))


def as_text(report: Report) -> str:
    """The report for a terminal, without colours."""
    data = report.data
    verdict = report.verdict
    lines = [
        f"{verdict.sign} {verdict.word}  {data['title']}, seed {data['seed']}, "
        f"{round(report.score * 100)} of 100 points",
        *wrapped(data["headline"]),
        "",
    ]
    lines += [f"  {problem}" for problem in data["problems"]]
    lines += check_lines(data["checks"])
    for check in data["checks"]:
        if check["evidence"]:
            lines += ["", *card_lines(check)]
    if data["not_exercised"]:
        lines += ["", "Not exercised:"]
        lines += [f"  {each['scenario']}: {each['text']}" for each in data["not_exercised"]]
    return "\n".join(lines) + "\n"


def check_lines(checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each check, with the scenarios in which it did not pass. Those that could not be
    judged in the same scenarios share one, or the ones that failed would drown in them."""
    unsure: dict[str, list[str]] = {}
    for check in checks:
        verdict = Verdict(check["verdict"])
        where = ", ".join(s["name"] for s in check["scenarios"] if s["verdict"] == verdict)
        if verdict == Verdict.INCONCLUSIVE:
            unsure.setdefault(where or "none was played", []).append(check["id"])
        else:
            names = f"  ({where})" if where and verdict != Verdict.PASS else ""
            yield f"  {verdict.sign} {verdict.word:<13} {check['id']} {check['name']}{names}"
    for where, ids in unsure.items():
        verdict = Verdict.INCONCLUSIVE
        yield from wrapped(f"{verdict.sign} {verdict.word:<13} {', '.join(ids)}  ({where})", "  ")


def card_lines(check: Mapping[str, Any]) -> Iterator[str]:
    """The evidence card as text."""
    card = check["evidence"]
    verdict = Verdict(card["verdict"])
    yield f"{verdict.sign} {verdict.word} {check['id']} {check['name']}   {card['scenario_title']}"
    yield from wrapped(card["claim"], "  ")
    if card["second"]:
        yield from wrapped(f"Fact 1: {card['first']['text']} (#{card['first']['n']})", "    ")
        yield from wrapped(f"Fact 2: {card['second']['text']} (#{card['second']['n']})", "    ")
        yield from wrapped(card["both"], "  ")
    for row in card["rows"]:
        badge = f"  <- fact {row['badge']}" if row["badge"] else ""
        fault = "⚡ " if row["fault"] else ""
        yield f"  #{row['n']:<6}{row['t']:>7.2f} s  {row['source']:<10} {fault}{row['text']}{badge}"
    yield from wrapped(f"Why: {card['why']}", "  ")
    if card["more"]:
        yield f"  {card['more']} more like this in the same submission."
    yield f"  Replay: {card['replay']}"


def wrapped(text: str, indent: str = "") -> list[str]:
    """A paragraph in lines."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
