"""The documentation is made from the model where it can be, and its examples work."""

import json
import re
from pathlib import Path

import pytest

from decision_guide import choose_only, commands, documents, overlay, parse_answers
from decision_guide.tables import renewed

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "decision-guide.md").read_text("utf-8")
RECORDS = ROOT / "docs" / "decisions"


def test_the_generated_parts_are_current(model):
    hint = "run: python -m decision_guide.tables docs/decision-guide.md"
    assert renewed(TEXT, model) == TEXT, hint


def examples():
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


def test_the_examples_can_be_used(model):
    answers, own = examples()
    parse_answers(model, answers)
    assert overlay(model, own).id == "eda-fit+acme"


def test_the_library_example_runs(capsys):
    code = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
    exec(code, {})
    assert capsys.readouterr().out.count("build") == 1


@pytest.mark.parametrize("record", sorted(RECORDS.glob("0*.md")), ids=lambda path: path.name)
def test_the_records_on_this_product_are_what_the_guide_says_today(model, record):
    text = record.read_text("utf-8")
    date = re.search(r"^date: (\S+)$", text, re.MULTILINE)[1]
    named = re.fullmatch(r"\d{4}-(\w+)\.md", record.name)[1]
    decision = None if named == "architecture" else named
    assert commands.record(RECORDS / "ANSWERS.json", decision=decision, date=date).text == text


def test_the_guide_recommends_what_this_product_is(model):
    said = parse_answers(model, documents.read(RECORDS / "ANSWERS.json"))
    assert choose_only(model, said) == {
        "topology": "modular-monolith",
        "interaction": "mixed",
        "transport": "db-queue",
        "state": "crud-outbox",
        "reads": "same",
        "workflow": "local",
    }
