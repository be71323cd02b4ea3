"""How values look on a page: Jinja filters and globals, nothing else."""

import json
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, url_for
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound

from graders.verdicts import ORDER, Verdict
from sandbox.runtimes import get_runtime
from webapp import frontend_build

EXAMPLE = Path(__file__).with_name("example_check.json")
NOTHING = "\N{EN DASH}"


def init_app(app: Flask) -> None:
    """Give every template these filters and globals."""
    app.jinja_env.globals.update(asset=asset, example_check=example_check)
    app.jinja_env.filters.update(
        verdict_sign=verdict_sign,
        verdict_word=verdict_word,
        language=language,
        duration=duration,
        moment=moment,
        code_lines=code_lines,
        percent=percent,
        thousands="{:,}".format,
        worst_first=worst_first,
    )


def asset(name: str) -> str:
    """URL of a bundled file; it changes with the bundle, so browsers may keep it for ever."""
    return url_for("static", filename=f"dist/{name}", v=(bundle_version() or "")[:12])


@cache
def bundle_version() -> str | None:
    """Version of the bundle that was there when this process first needed it."""
    return frontend_build.built_hash()


@cache
def example_check() -> dict[str, Any]:
    """A check from a real report, for the home page: a program that books every delivery."""
    return json.loads(EXAMPLE.read_text("utf-8"))


def verdict_sign(verdict: str | None) -> str:
    """One character for a verdict; a dash while there is none."""
    return Verdict(verdict).sign if verdict else NOTHING


def verdict_word(verdict: str | None) -> str:
    """A verdict in words."""
    return Verdict(verdict).word if verdict else "No verdict yet"


def worst_first(checks: list[dict]) -> list[dict]:
    """A report's checks with what needs reading on top, else in their own order."""
    return sorted(checks, key=lambda check: ORDER.index(check["verdict"]))


def language(name: str) -> str:
    """A language's name for people."""
    return get_runtime(name).title


def duration(value: float | timedelta | None) -> str:
    """Seconds in words: "0.8 s", "12 s", "3 min 20 s", "1 h 30 min", "2 days"."""
    if value is None:
        return NOTHING
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, name in (
        (86400, "day", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return two_units(whole // size, unit, whole % size // smaller, name)
    return f"{whole} s"


def two_units(many: int, unit: str, rest: int, smaller: str) -> str:
    """The larger unit, and the smaller one where it is not zero."""
    large = f"{many} {unit}{'s' if unit == 'day' and many != 1 else ''}"
    return f"{large} {rest} {smaller}" if rest else large


def moment(when: datetime | None, style: str = "full") -> Markup | str:
    """A point in time with its zone; the browser turns it into the reader's own zone.

    style is "full", "date" or "clock".
    """
    if when is None:
        return NOTHING
    form = {"full": "%-d %b %Y, %H:%M UTC", "date": "%-d %b %Y", "clock": "%H:%M:%S UTC"}[style]
    utc = when - (when.utcoffset() or timedelta())
    return Markup('<time datetime="{}" data-moment="{}">{}</time>').format(
        when.isoformat(), style, utc.strftime(form)
    )


def percent(share: float | None) -> str:
    """A share as whole per cent."""
    return NOTHING if share is None else f"{share * 100:.0f} %"


def code_lines(text: str, path: str) -> list[Markup]:
    """The lines of a file with syntax classes (no inline styles), ready to print."""
    html = highlight(text, lexer_for(path), HtmlFormatter(nowrap=True))
    return [Markup(line) for line in html.split("\n")[:-1]]  # noqa: S704  escaped by Pygments


def lexer_for(path: str):
    """Pygments' lexer for a file name; plain text for names it does not know."""
    try:
        return get_lexer_for_filename(path, stripnl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False)
