"""ANSWERS.json: what may stand in it, and what is said about what may not."""

import json

import pytest

from decision_guide import (
    Answers,
    Given,
    GuideError,
    commands,
    documents,
    evaluate,
    is_asked,
    parse_answers,
)
from decision_guide.answers import as_asked, levels_of
from decision_guide.conditions import NOT_APPLICABLE, UNKNOWN


def problems(model, document):
    with pytest.raises(GuideError) as caught:
        parse_answers(model, document)
    return {p.path: p.message for p in caught.value.problems}


def test_every_form_of_an_answer(model):
    answers = parse_answers(
        model,
        {
            "answers": {
                "replay": "months",
                "throughput": 2500,
                "latency": "not sure",
                "payload": {"does_not_apply": "out-of-scope", "note": "references"},
                "delivery": {"value": "guaranteed", "note": "sales", "assumed": True},
            }
        },
    )
    assert answers.given["replay"] == Given(level=2)
    assert answers.given["throughput"] == Given(level=3, number=2500)
    assert answers.given["latency"].not_sure
    assert answers.given["payload"] == Given(reason="out-of-scope", note="references")
    assert answers.given["delivery"] == Given(level=2, note="sales", assumed=True)
    levels = dict(zip((q.id for q in model.questions), levels_of(model, answers), strict=True))
    assert levels["payload"] == NOT_APPLICABLE
    assert levels["latency"] == levels["consumers"] == UNKNOWN


@pytest.mark.parametrize(
    ("question", "number", "answer"),
    [
        ("throughput", 0, "under-1"),
        ("throughput", 0.9, "under-1"),
        ("throughput", 1, "under-100"),
        ("throughput", 10_000, "over-10000"),
        ("consumers", 0, "one"),
        ("consumers", 1, "one"),
        ("consumers", 5, "three-to-five"),
        ("services", 5, "five-to-twenty"),
        ("replay", 14, "days"),
        ("replay", 15, "months"),
        ("read_write", 10, "under-100"),
    ],
)
def test_a_number_falls_into_the_range_it_belongs_to(model, question, number, answer):
    asked = model.questions[model.question(question)]
    given = parse_answers(model, {"answers": {question: number}}).given[question]
    assert asked.answers[given.level].id == answer


@pytest.mark.parametrize(
    ("document", "path", "said"),
    [
        ([], "$", "must be an object"),
        ({}, "$.answers", "is missing"),
        ({"answers": []}, "$.answers", "must be an object"),
        ({"answers": {}, "anwsers": {}}, "$.anwsers", "Allowed: format, model, title, answers"),
        ({"answers": {}, "title": 3}, "$.title", "must be text"),
        ({"answers": {}, "format": "x/2"}, "$.format", "offsetzero-guide-answers/1"),
        ({"answers": {}, "model": "other@1.0.0"}, "$.model", "another model"),
        ({"answers": {"replays": "none"}}, "$.answers.replays", "Did you mean 'replay'?"),
        ({"answers": {"replay": "month"}}, "$.answers.replay", '"none", "days", "months"'),
        ({"answers": {"replay": True}}, "$.answers.replay", "true is not an answer"),
        ({"answers": {"replay": None}}, "$.answers.replay", "null is not an answer"),
        ({"answers": {"replay": -1}}, "$.answers.replay", "0 or more (days)"),
        ({"answers": {"teams": 3}}, "$.answers.teams", "up-to-three-developers"),
        ({"answers": {"replay": ["days"]}}, "$.answers.replay", "is not an answer"),
        ({"answers": {"replay": {}}}, "$.answers.replay", 'either "value" or "does_not_apply"'),
        ({"answers": {"replay": {"value": "x"}}}, "$.answers.replay.value", "Allowed"),
        ({"answers": {"replay": {"reason": "x"}}}, "$.answers.replay.reason", "Allowed"),
        ({"answers": {"replay": {"value": "none", "note": 1}}}, "$.answers.replay.note", "text"),
        (
            {"answers": {"replay": {"value": "none", "assumed": 1}}},
            "$.answers.replay.assumed",
            "true",
        ),
        ({"answers": {"replay": 10**400}}, "$.answers.replay", "is not an answer"),
        ({"answers": {"replay": float("inf")}}, "$.answers.replay", "is not an answer"),
        ({"answers": {"replay": "x" * 10**6}}, "$.answers.replay", '"none", "days", "months"'),
        ({"answers": {str(n): 1 for n in range(999)}}, "$.answers", "999 entries"),
        ({"answers": {}, **{str(n): 1 for n in range(99)}}, "$", "and 49 more problems"),
        ({"answers": {}, "title": "x" * 201}, "$.title", "at most 200"),
        (
            {"answers": {"replay": {"does_not_apply": "no"}}},
            "$.answers.replay.does_not_apply",
            '"out-of-scope"',
        ),
        ({"answers": {}, "measures": {"kib": 1}}, "$.measures.kib", "message_kib"),
        ({"answers": {}, "measures": {"message_kib": 0}}, "$.measures.message_kib", "from 0.001"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_what_is_allowed(model, document, path, said):
    assert said in problems(model, document)[path]


def test_everything_wrong_is_told_at_once(model):
    found = problems(model, {"answers": {"replay": "x", "teams": "y", "nothing": 1}, "title": 1})
    assert len(found) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "line 1"), ('{"answers": {"replay": NaN}}', "is not an answer"), ("\xff", "UTF-8")],
)
def test_a_file_that_is_not_json_is_named(tmp_path, model, text, said):
    path = tmp_path / "ANSWERS.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(GuideError, match=said) as caught:
        commands.read_answers(model, path)
    assert str(path) in str(caught.value)


def test_answers_survive_writing_and_reading(model):
    document = {
        "title": "T",
        "answers": {"replay": "days", "throughput": 7, "teams": "not sure"},
        "measures": {"message_kib": 2},
    }
    answers = parse_answers(model, document)
    assert parse_answers(model, json.loads(json.dumps(answers.to_json(model)))) == answers


def test_a_question_that_is_not_asked_has_its_implied_answer(model):
    answers = parse_answers(model, {"answers": {"steps": "one", "compensation": "visible"}})
    asked = dict(zip((q.id for q in model.questions), is_asked(model, answers), strict=True))
    assert not asked["compensation"]
    levels = as_asked(model, levels_of(model, answers)[None, :])[0]
    assert levels[model.question("compensation")] == 0
    assert answers.given["compensation"].level == 2
    longer = answers.having("steps", Given(level=2))
    assert is_asked(model, longer)[model.question("compensation")]


def test_the_hash_names_what_was_answered_and_nothing_else(model):
    plain = parse_answers(model, {"answers": {"replay": "days"}})
    noted = parse_answers(
        model, {"title": "T", "answers": {"replay": {"value": "days", "note": "n"}}}
    )
    assert plain.hash(model) == noted.hash(model)
    assert plain.hash(model) != Answers().hash(model)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1, column 2"),
        ("[" * 200_000, "nested too deeply"),
        ("1" * 5_000, "too many digits"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_what_is_no_json_is_said_to_be_none(text, said):
    with pytest.raises(GuideError, match=said):
        documents.parse(text)


def test_texts_become_one_line_that_can_be_printed(model):
    note = {"value": "none", "note": "a\n\ud800# b\0"}
    found = parse_answers(model, {"title": " =\r\nx ", "answers": {"replay": note}})
    assert (found.title, found.given["replay"].note) == ("= x", "a # b")


def test_the_largest_numbers_allowed_can_be_reckoned_with(model):
    measures = {"message_kib": 1e12, "producer_mib_s": 1e-3, "consumer_mib_s": 1e-3}
    found = parse_answers(model, {"answers": {"throughput": 1e12}, "measures": measures})
    assert all(e.high is None or e.high > 0 for e in evaluate(model, found, draws=100).estimates)
