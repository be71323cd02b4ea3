import csv as csv_format
import io
import json
import re

import pytest

from decision_guide import (
    Heading,
    csv,
    evaluate,
    madr,
    madr_combined,
    parse_answers,
    well_architected_lens,
)

HEADING = Heading("2026-11-24", decision_makers=["Ann", "Bo"], consulted=["Cy: --> ops"])
SECTIONS = [
    "## Context and Problem Statement",
    "## Decision Drivers",
    "## Considered Options",
    "## Decision Outcome",
    "### Consequences",
    "### Confirmation",
    "## Pros and Cons of the Options",
    "## More Information",
]


@pytest.fixture(scope="module")
def result(model):
    document = {
        "title": "Shop --> events",
        "answers": {
            "consumers": 4,
            "replay": {"value": "months", "note": "the --> auditor"},
            "services": 8,
            "operations": "managed",
            "budget": 5000,
            "payload": {"does_not_apply": "out-of-scope"},
        },
    }
    return evaluate(model, parse_answers(model, document), draws=500)


def embedded(text):
    found = re.search(r"<!-- offsetzero-guide-result (.*) -->", text)
    return json.loads(found[1])


@pytest.mark.parametrize("decision", ["topology", "transport", "workflow"])
def test_a_record_has_the_sections_of_madr_4_in_order(result, decision):
    text = madr(result, decision, HEADING)
    places = [text.index(f"\n{section}\n") for section in SECTIONS]
    assert places == sorted(places)
    front = ["---", 'status: "proposed"', "date: 2026-11-24", 'decision-makers: "Ann, Bo"']
    assert text.splitlines()[:4] == front
    assert f'Chosen option: "{result.decision(decision).label}", because' in text


def test_a_record_weighs_every_option_and_says_when_to_look_again(result):
    text = madr(result, "transport", HEADING)
    for option in result.decision("transport").options:
        assert f"#### {option.label}" in text
    assert "* Revisit when " in text
    assert "k.o. criterion K5a" in text
    assert "does not apply (out-of-scope)" in text.lower()


def test_the_combined_record_holds_all_six(result):
    text = madr_combined(result, HEADING)
    places = [text.index(f"\n{section}\n") for section in SECTIONS]
    assert places == sorted(places)
    assert text.count("Chosen option:") == 6
    assert result.composite.sentence in text


def test_the_result_rides_along_and_cannot_end_its_comment(result):
    for text in (madr(result, "transport", HEADING), madr_combined(result, HEADING)):
        assert embedded(text) == json.loads(json.dumps(result.to_json()))
        comment = text[text.index("<!-- offsetzero") + 4 : text.rindex("-->")]
        assert "--" not in comment


def test_what_people_wrote_is_no_markup_in_a_record(model):
    said = {"value": "none", "note": "<img src=x onerror=alert(1)>\n# Not a heading"}
    answers = parse_answers(model, {"title": "<b>Shop</b>", "answers": {"replay": said}})
    text = madr_combined(evaluate(model, answers, draws=100), HEADING)
    body = text[: text.index("<!-- offsetzero")]
    assert "<" not in body and "&lt;img src=x" in body
    assert "\n# Not a heading" not in body


def test_no_cell_of_the_table_is_a_formula(result):
    cells = [cell for row in csv_format.reader(io.StringIO(csv(result))) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


def test_the_table_has_a_row_for_each_option(result, model):
    rows = list(csv_format.DictReader(io.StringIO(csv(result))))
    assert len(rows) == sum(len(d.options) for d in model.decisions)
    chosen = {r["decision"]: r["option"] for r in rows if r["recommended"] == "yes"}
    assert chosen == result.composite.options


def risk(question, ticked):
    """The lens's verdict: the first rule that holds, as the tool evaluates them."""
    for rule in question["riskRules"]:
        condition = rule["condition"]
        if condition == "default" or any(id in ticked for id in condition.split(" || ")):
            return rule["risk"]
    raise AssertionError("no rule holds")


def test_every_risk_rule_of_the_lens_can_be_reached(model):
    lens = well_architected_lens(model)
    assert lens["schemaVersion"] == "2021-11-01"
    questions = [q for pillar in lens["pillars"] for q in pillar["questions"]]
    assert len(questions) >= len(model.knockouts) - 4
    titles = {q["title"] for q in questions}
    assert {r.text for r in model.risks} <= titles
    for question in questions:
        ids = [c["id"] for c in question["choices"]]
        reached = {risk(question, ticked) for ticked in ({*()}, *({id} for id in ids))}
        assert reached == {rule["risk"] for rule in question["riskRules"]}


def test_the_lens_keeps_to_the_limits_of_the_format(model):
    lens = well_architected_lens(model)
    assert 1 <= len(lens["pillars"]) <= 10
    for pillar in lens["pillars"]:
        assert re.fullmatch(r"\w{3,128}", pillar["id"])
        assert len(pillar["questions"]) <= 20
        for question in pillar["questions"]:
            assert re.fullmatch(r"\w{3,128}", question["id"])
            assert len(question["title"]) <= 128
            assert 1 <= len(question["choices"]) <= 15
            for choice in question["choices"]:
                assert re.fullmatch(r"\w{3,128}", choice["id"])
                assert len(choice["title"]) <= 128
                assert choice["improvementPlan"]["displayText"]
