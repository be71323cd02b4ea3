"""Loading a model: what is wrong is named with its place."""

import copy

import pytest

from decision_guide import GuideError, parse_model


def broken(model, change):
    document = copy.deepcopy(model.document)
    change(document)
    with pytest.raises(GuideError) as caught:
        parse_model(document)
    return {p.path: p.message for p in caught.value.problems}


def test_a_model_is_named_by_its_content(model):
    document = copy.deepcopy(model.document)
    assert parse_model(document).hash == model.hash
    document["decisions"][0]["criteria"][0]["weight"] += 1
    assert parse_model(document).hash != model.hash


def test_weights_sum_to_one(model):
    for decision in model.decisions:
        assert decision.weights.sum() == pytest.approx(1)


def test_the_size_that_was_asked_for(model):
    assert 20 <= len(model.questions) <= 25
    assert len(model.quick) == 5
    assert [d.id for d in model.decisions] == [
        "topology", "interaction", "transport", "state", "reads", "workflow",
    ]  # fmt: skip


def first(document, group, index=0):
    return document[group][index]


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        (lambda d: d.pop("version"), "$", "'version' is a required property"),
        (lambda d: first(d, "questions").update(set="no"), "$.questions[0].set", "known are"),
        (
            lambda d: first(d, "questions", 1).update(id="consumers"),
            "$.questions[1].id",
            "is used twice",
        ),
        (
            lambda d: first(d, "knockouts").update(when=[{"nothing": ["x"]}]),
            "$.knockouts[0].when[0].nothing",
            "is unknown",
        ),
        (
            lambda d: first(d, "knockouts").update(when=[{"replay": ["x"]}]),
            "$.knockouts[0].when[0].replay",
            "'x' is unknown",
        ),
        (
            lambda d: first(d, "knockouts").update(excludes=["transport.pigeon"]),
            "$.knockouts[0].excludes[0]",
            "not DECISION.OPTION",
        ),
        (
            lambda d: first(d, "knockouts").update(excludes=["design.pigeon"]),
            "$.knockouts[0].excludes[0]",
            "is unknown",
        ),
        (
            lambda d: first(d, "knockouts", 2).update(mitigation=None),
            "$.knockouts[2].mitigation",
            "None is not of type 'string'",
        ),
        (
            lambda d: first(d, "compatibility").update(excludes=["topology.services"]),
            "$.compatibility[0].excludes",
            "decisions after",
        ),
        (
            lambda d: first(d["decisions"][0], "criteria")["values"].pop("services"),
            "$.decisions[0].criteria[0].values",
            "must name exactly",
        ),
        (
            lambda d: first(d["decisions"][0], "criteria")["values"].update(services=[0, 1]),
            "$.decisions[0].criteria[0].values.services",
            "needs 4 numbers",
        ),
        (
            lambda d: first(d["decisions"][0], "criteria")["values"].update(services=[0, 1, 2, 3]),
            "$.decisions[0].criteria[0].values.services[2]",
            "greater than the maximum",
        ),
        (
            lambda d: first(d["decisions"][0], "criteria").update(source=["nobody"]),
            "$.decisions[0].criteria[0].source",
            "not among the sources",
        ),
        (
            lambda d: first(d["decisions"][0], "criteria").pop("confidence"),
            "$.decisions[0].criteria[0]",
            "'confidence' is a required property",
        ),
        (
            lambda d: first(d["decisions"][0], "options", 1).update(burden=1),
            "$.decisions[0].options[1].burden",
            "is used twice",
        ),
    ],
)
def test_what_is_wrong_in_a_model_is_named(model, change, path, said):
    assert said in broken(model, change)[path]
