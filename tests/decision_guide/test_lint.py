"""Lint: the model that ships is clean, and each kind of fault is found."""

import copy

import pytest

from decision_guide import lint, parse_model
from decision_guide.cases import answer_files


def test_the_model_that_ships_is_clean(model):
    assert lint(model, answer_files()) == []


def constant(document, decision, option, value):
    for criterion in document["decisions"][decision]["criteria"]:
        criterion["values"][option] = [value] * len(criterion["values"][option])


def never(document):
    document["knockouts"][0]["when"] = [{"steps": ["one"], "compensation": ["visible"]}]


def idle(document):
    for decision in document["decisions"]:
        decision["criteria"] = [c for c in decision["criteria"] if c["question"] != "ordering"]
    document["monotone"] = [m for m in document["monotone"] if m["question"] != "ordering"]


def dead_end(document):
    document["knockouts"][0]["excludes"] = [
        "interaction.sync", "interaction.mixed", "interaction.async",
    ]  # fmt: skip


def falling(document):
    criterion = document["decisions"][2]["criteria"][1]
    assert criterion["question"] == "replay"
    criterion["values"]["log"] = [1, 0.5, 0.2, 0]


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        (lambda d: constant(d, 3, "event-sourcing", 0), "$.decisions[3].options[2]", "wins 0.00%"),
        (dead_end, "$.decisions[1]", "no option left"),
        (never, "$.knockouts[0].when[0]", "never holds"),
        (idle, "$.questions[14]", "ordering: no answer to it changes any decision"),
        (falling, "$.monotone[18]", "log loses against"),
        (
            lambda d: d["sources"].update(x={"title": "t", "organisation": "o", "year": None}),
            "$.sources.x",
            "cited nowhere",
        ),
    ],
)
def test_a_fault_is_found(model, change, path, said):
    document = copy.deepcopy(model.document)
    change(document)
    assert said in {p.path: p.message for p in lint(parse_model(document))}[path]


def test_an_old_file_that_no_longer_reads_is_found(model):
    problems = lint(model, [{"answers": {"replay": "weeks"}}])
    assert [p.path for p in problems] == ["old file 1 $.answers.replay"]
