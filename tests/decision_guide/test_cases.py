"""The guide's judgement: published decisions, one changed fact, and systems of many kinds."""

import json
from pathlib import Path

import pytest

from decision_guide import choose_only, load_model, parse_answers
from decision_guide.cases import events_from_three, load_twins, measure, never_events

ARCHETYPES = json.loads(Path(__file__).with_name("archetypes.json").read_text())
TWINS = load_twins(load_model())


def test_there_are_enough_cases_and_each_says_where_it_comes_from(cases, twins):
    assert len(cases) >= 20
    assert len(twins) >= 10
    for case in cases:
        assert {"title", "organisation", "year", "confidence"} <= case.source.keys()
        assert set(case.guessed) <= case.answers.given.keys()
        assert case.accept


def test_cases_name_only_decisions_and_options_that_exist(model, cases, twins):
    known = {d.id: {o.id for o in d.options} for d in model.decisions}
    for case in cases:
        for options in (case.accept, case.reject):
            assert all(set(ids) <= known[decision] for decision, ids in options.items())
    for twin in twins:
        assert {*twin.before, *twin.after} <= known[twin.decision]


def test_the_guide_agrees_with_published_decisions_more_often_than_simple_rules(model, cases):
    all_facts = measure(cases, lambda case: choose_only(model, case.answers))
    known_facts = measure(cases, lambda case: choose_only(model, case.known))
    best_simple = max(
        measure(cases, rule(model)).cases_right for rule in (never_events, events_from_three)
    )
    assert all_facts.cases_right >= 0.9 * len(cases)
    assert known_facts.cases_right >= 0.75 * len(cases)
    assert known_facts.cases_right >= 2 * best_simple


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.id)
def test_one_changed_fact_moves_the_decision(model, twin):
    before = choose_only(model, twin.base)[twin.decision]
    after = choose_only(model, twin.changed)[twin.decision]
    assert before in twin.before
    assert after in twin.after


@pytest.mark.parametrize("row", ARCHETYPES, ids=lambda row: row["system"])
def test_the_judgement_on_an_ordinary_system_is_sensible(model, row):
    chosen = choose_only(model, parse_answers(model, {"answers": row["answers"]}))
    wrong = {d: chosen[d] for d, options in row["accept"].items() if chosen[d] not in options}
    assert not wrong
