import copy
import dataclasses
import json

import pytest

from decision_guide import compare, evaluate, milestone, parse_answers, parse_model, rescore
from decision_guide.milestones import Moved

BEFORE = {"consumers": 4, "replay": "none", "services": 8, "operations": "managed", "budget": 5000}


def answers(model, **changes):
    return parse_answers(model, {"answers": {**BEFORE, **changes}})


@pytest.fixture(scope="module")
def newer(model):
    """The next version: a question and an answer renamed, one question gone, other weights."""
    document = json.loads(json.dumps(model.document).replace('"replay"', '"reread"'))
    document["version"] = "1.1.0"
    document["questions"] = [q for q in document["questions"] if q["id"] != "ordering"]
    document["monotone"] = [m for m in document["monotone"] if m["question"] != "ordering"]
    for question in document["questions"]:
        if question["id"] == "reread":
            question["formerly"] = ["replay"]
    for group in [*document["decisions"], *document["comparison"]]:
        group["criteria"] = [c for c in group["criteria"] if c["question"] != "ordering"]
    for rule in [*document["knockouts"], *document["risks"]]:
        when = [a for a in rule.get("when", []) if "ordering" not in a]
        if "when" in rule:
            rule["when"] = when or [{"consumers": ["one"]}]
    for criterion in document["decisions"][2]["criteria"]:
        if criterion["id"] == "simplicity":
            criterion["weight"] = 60
    return parse_model(document)


def test_what_each_change_does_alone_and_together(model):
    comparison = compare(model, answers(model), answers(model, replay="months", consumers=5))
    assert [c.question for c in comparison.answers] == ["replay"]
    replay = comparison.answers[0]
    assert (replay.before, replay.after) == ("none", "months")
    assert Moved("transport", "pub-sub", "log") in replay.alone
    assert replay.gaps["transport"] < 0
    assert comparison.together == replay.alone


def test_changes_that_only_work_together(model):
    base = {"consumers": 4, "replay": "months", "erasure": "none"}
    before = parse_answers(model, {"answers": base})
    after = parse_answers(model, {"answers": {**base, "erasure": "inside", "operations": "nobody"}})
    comparison = compare(model, before, after)
    assert {c.question for c in comparison.answers} == {"erasure", "operations"}
    assert {m.decision for m in comparison.together} >= {"transport"}


def test_equal_answers_differ_in_nothing(model):
    assert compare(model, answers(model), answers(model)).together == ()


def test_a_milestone_is_kept_as_it_was(model):
    kept = milestone("kick-off", "2026-11-24", evaluate(model, answers(model), draws=100))
    assert kept.document["model"]["hash"] == model.hash
    with pytest.raises(dataclasses.FrozenInstanceError):
        kept.name = "other"


def test_an_old_result_under_a_newer_model_tells_model_from_answers(model, newer):
    old = evaluate(model, answers(model, ordering="per-key"), draws=100).to_json()
    renamed = {("reread" if id == "replay" else id): value for id, value in BEFORE.items()}
    today = parse_answers(newer, {"answers": {**renamed, "history": "reconstruct"}})
    found = rescore(old, newer, today)
    assert "1.0.0" in found.old_model
    assert "1.1.0" in found.new_model
    assert "ordering: no longer asked, left out" in found.notices
    assert [(m.before, m.after) for m in found.by_model] == [("pub-sub", "db-queue")]
    assert "event-sourcing" in [m.after for m in found.by_answers]


def test_an_answer_that_has_no_successor_becomes_not_sure(model):
    document = copy.deepcopy(dict(model.document))
    document["version"] = "2.0.0"
    document["answer_sets"]["size"]["answers"][1]["id"] = "small"
    newer = parse_model(document)
    carried = parse_answers(
        newer, {"model": "eda-fit@1.0.0", "answers": {"payload": "under-1-mib"}}
    )
    assert carried.given["payload"].not_sure
    (notice,) = carried.notices
    assert notice == "payload: 'under-1-mib' is no longer an answer, taken as not sure"
