from datetime import UTC, datetime, timedelta, timezone

import pytest
from markupsafe import Markup

from webapp.presentation import (
    NOTHING,
    code_lines,
    duration,
    moment,
    percent,
    verdict_sign,
    verdict_word,
    worst_first,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, NOTHING),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (86400, "1 day"),
        (timedelta(days=2, hours=3), "2 days 3 h"),
    ],
)
def test_durations_are_said_in_the_two_largest_units(seconds, words):
    assert duration(seconds) == words


def test_a_moment_names_its_zone_and_its_instant():
    berlin = timezone(timedelta(hours=1))
    text = moment(datetime(2026, 3, 1, 0, 30, tzinfo=berlin))
    assert "28 Feb 2026, 23:30 UTC" in text
    assert 'datetime="2026-03-01T00:30:00+01:00"' in text
    assert isinstance(text, Markup)
    assert "1 Mar 2026<" in moment(datetime(2026, 3, 1, tzinfo=UTC), "date")
    assert moment(None) == NOTHING


def test_every_verdict_has_a_sign_and_a_word():
    for verdict in ("PASS", "FAIL", "INCONCLUSIVE", "WARN", "HARNESS_ERROR"):
        assert len(verdict_sign(verdict)) == 1
        assert verdict_word(verdict)
    assert (verdict_sign(None), verdict_word(None)) == (NOTHING, "No verdict yet")


def test_checks_are_listed_worst_first_and_else_as_they_came():
    verdicts = ["PASS", "WARN", "FAIL", "HARNESS_ERROR", "INCONCLUSIVE", "FAIL"]
    checks = [{"id": number, "verdict": verdict} for number, verdict in enumerate(verdicts)]
    assert [check["id"] for check in worst_first(checks)] == [2, 5, 3, 4, 1, 0]


def test_a_share_is_shown_as_per_cent():
    assert (percent(0.625), percent(0), percent(None)) == ("62 %", "0 %", NOTHING)


@pytest.mark.parametrize("path", ["main.py", "notes", "x.unknown", "</script>.py"])
def test_code_keeps_its_lines_and_never_becomes_markup(path):
    text = '\n"""Two\nlines</script><img src=x onerror=alert(1)>"""\n\nx = 1'
    lines = code_lines(text, path)
    assert len(lines) == len(text.split("\n"))
    joined = "".join(lines)
    assert "<img" not in joined and "</script>" not in joined and "style=" not in joined
    assert [Markup(line).striptags() for line in lines][-1] == "x = 1"
