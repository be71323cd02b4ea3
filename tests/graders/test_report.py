"""Evidence cards and reports, built from hand-made histories."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from graders.evidence import MOST_ROWS, card, describe
from graders.facts import KINDS, Fact
from graders.history import History
from graders.report import Report, as_html, as_text, build, refused
from graders.verdict import conclude, judge, skipped
from tests.graders.challenge import challenge
from tests.graders.histories import ALL, Tale, findings, steady


def twice() -> History:
    """The worked history of EFF-2, with much noise around it."""
    tale = Tale()
    tale.process("app", "started")
    tale.assigned("app", 0, 1, 2)
    for number in range(40):
        tale.send(f"pay-{number}", 0, account=f"acc-{number}")
    tale.fetch("app", 0, 0, 39)
    tale.fault("armed")
    tale.effect("app", "pay-0")
    tale.fault("applied", target="OffsetCommit payments-0@1")
    tale.process("app", "killed")
    tale.fault("dropped")
    tale.append("left", instance="app", group="g", member="app-1", by="grader")
    tale.process("app", "started")
    tale.assigned("app", 0, 1, 2, generation=2)
    tale.fetch("app", 0, 0, 39)
    tale.effect("app", "pay-0")
    for number in range(1, 40):
        tale.effect("app", f"pay-{number}")
        tale.commit("app", 0, number + 1)
    return tale.end()


def report(*histories: History) -> Report:
    attempts = [judge(history, ALL) for history in histories]
    outcome = conclude("a_tale", attempts, ALL)
    return build(challenge(), 7, "process", [outcome], {"total_s": 8.5}, {"kafka": "4.4.0"})


def the_card() -> dict:
    history = twice()
    (finding,) = findings(history, "EFF-2")
    return card(finding, history, title="Killed after the booking")


def test_a_card_shows_claim_two_facts_and_what_lies_between():
    evidence = the_card()
    assert evidence["claim"] == "Event pay-0 (payments-0@0) was applied twice."
    rows = evidence["rows"]
    assert len(rows) <= MOST_ROWS
    assert [row["n"] for row in rows] == sorted(row["n"] for row in rows)
    assert {row["badge"] for row in rows} == {None, 1, 2}
    first, second = (next(r for r in rows if r["badge"] == badge) for badge in (1, 2))
    assert (first["n"], second["n"]) == (evidence["first"]["n"], evidence["second"]["n"])
    texts = " | ".join(row["text"] for row in rows)
    assert "killed (SIGKILL)" in texts
    assert "hold: OffsetCommit payments-0@1" in texts
    assert "was handed payments-0@0..39" in texts
    assert "pay-17" not in texts
    assert evidence["replay"] == (
        "offsetzero grade idempotent_consumer PATH --seed 7 --scenario a_tale"
    )


def test_the_picture_is_valid_has_a_lane_for_each_instance_and_no_inline_style():
    picture = the_card()["picture"]
    svg = ElementTree.fromstring(picture)
    lanes = [e.text for e in svg.iter("text") if e.get("class") == "lane"]
    assert lanes == ["grader", "app"]
    badges = [e for e in svg.iter("g") if e.get("class") == "badge"]
    assert [badge.find("text").text for badge in badges] == ["1", "2"]
    assert svg.get("role") == "img" and svg.get("aria-label")
    assert "style" not in picture


def test_what_a_program_prints_cannot_become_markup():
    tale = Tale()
    tale.process("app", "started")
    tale.send("pay-1", 0)
    evil = '<script>alert(1)</script> & "quotes"'
    tale.process("<b>app", "exited", code=1, output=[evil])
    tale.process("<b>app", "abandoned", reason="it ended 6 times", output=[evil])
    history = tale.end(quiet=False, unmet=["nothing"])
    html = as_html(report(history, history))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<b>app" not in html


def made_up(kind: type[Fact]) -> Fact:
    """A fact of this kind with something in every field."""
    values = {
        "topics": {"payments.t1": 3},
        "value": {"id": "x"},
        "expect": {},
        "content": {"amount": 1},
        "partitions": [["payments.t1", 0]],
        "output": ["bye"],
        "rows": [],
        "expected": [],
        "key": "k",
    }
    numbers = ("n", "t", "offset", "partition", "first", "last", "generation", "count", "row")
    numbers += ("number",)
    fields = {}
    for name in kind.__dataclass_fields__:
        number = name in numbers or name.endswith("_s") or name.endswith("_t")
        fields[name] = values.get(name, 1 if number else "x")
    return kind(**fields)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_of_fact_can_be_put_in_words(kind):
    source, text = describe(made_up(kind))
    assert source and text


def test_a_report_has_the_agreed_form():
    data = report(twice()).data
    assert data["schema"] == 1
    assert (data["challenge"], data["seed"], data["verdict"]) == ("idempotent_consumer", 7, "FAIL")
    assert data["headline"].startswith("A tale: One event was applied twice.")
    by_id = {check["id"]: check for check in data["checks"]}
    assert by_id["EFF-2"]["verdict"] == "FAIL"
    assert by_id["EFF-2"]["scenarios"] == [{"name": "a_tale", "verdict": "FAIL"}]
    assert by_id["EFF-4"]["evidence"] is None
    assert data["scenarios"][0]["exposes"] == "A few payments and no trouble."
    assert json.loads(json.dumps(data)) == data


def test_a_clean_report_says_so():
    clean = report(steady().end())
    assert (clean.verdict, clean.score, clean.exit_code) == ("PASS", 1.0, 0)
    assert clean.data["headline"] == "Every check passed in 1 scenario."


def test_exit_codes():
    assert report(twice()).exit_code == 1
    broken = Tale()
    assert report(broken, broken, broken).exit_code == 2
    outcome = skipped("a_tale", "Not played.", ALL)
    unplayed = build(challenge(), 7, "docker", [outcome], {}, {})
    assert (unplayed.verdict, unplayed.exit_code) == ("INCONCLUSIVE", 2)
    assert unplayed.data["not_exercised"] == [{"scenario": "a_tale", "text": "Not played."}]


def test_a_program_that_could_not_be_started_is_told_why():
    result = refused(challenge(), 7, "process", ["There is no main.py."])
    assert result.exit_code == 1
    assert "There is no main.py." in as_text(result)
    assert "There is no main.py." in as_html(result)


@pytest.mark.parametrize(("attempts", "told"), [(1, "12.3 s<"), (2, "12.3 s, played 2 times<")])
def test_a_page_says_how_long_a_scenario_took_and_how_often_it_was_played(attempts, told):
    outcome = conclude("a_tale", [judge(steady().end(), ALL)], ALL)
    outcome = replace(outcome, attempts=attempts, seconds=12.34)
    assert told in as_html(build(challenge(), 7, "process", [outcome], {}, {}))


def test_text_and_page_show_the_same_card():
    result = report(twice())
    text, html = as_text(result), as_html(result)
    for words in ("was applied twice", "Fact 1", "Replay: offsetzero grade"):
        assert words in text
    assert "was applied twice" in html and 'class="picture"' in html
    assert re.search(r"✗ FAIL +EFF-2 duplicate-effect +\(a_tale\)", text)
