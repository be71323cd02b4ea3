import pytest

from decision_guide import Answers, Given, merge, parse_answers, settle
from decision_guide.team import kendall_w, mean_weights

SHARED = {"answer_needed": "some-requests", "services": 8, "operations": "managed", "budget": 5000}


def rated(model, **people):
    return {
        name: parse_answers(model, {"answers": {**SHARED, **said}}) for name, said in people.items()
    }


def test_every_answer_stays_visible(model):
    review = merge(
        model,
        rated(model, ann={"replay": "none"}, bo={"replay": "months"}, cy={"replay": "not sure"}),
    )
    replay = next(s for s in review.spreads if s.question == "replay")
    assert replay.answers == {"ann": "none", "bo": "months", "cy": None}
    assert (replay.low, replay.median, replay.high, replay.not_sure) == (
        "none",
        "none",
        "months",
        1,
    )
    assert not replay.agreed


def test_a_difference_matters_when_it_changes_a_decision(model):
    review = merge(
        model,
        rated(
            model,
            ann={"replay": "none", "consumers": 4, "read_write": 1},
            bo={"replay": "months", "consumers": 4, "read_write": 3},
        ),
    )
    assert [s.question for s in review.to_discuss] == ["replay"]
    assert "transport" in review.to_discuss[0].decides
    assert review.results["ann"]["transport"] != review.results["bo"]["transport"] == "log"


def test_what_all_agree_on_is_common_and_the_rest_not_sure(model):
    review = merge(model, rated(model, ann={"replay": "none"}, bo={"replay": "months"}))
    assert review.common.given["services"].number == 8
    assert review.common.given["replay"].not_sure
    assert "consumers" not in review.common.given


def test_agreement_is_full_for_equal_answers_and_less_for_others(model):
    same = merge(model, rated(model, ann={"replay": "days"}, bo={"replay": "days"}))
    assert set(same.agreement.values()) == {1.0}
    other = merge(model, rated(model, ann={"replay": "none"}, bo={"replay": "forever"}))
    assert other.agreement["transport"] < 1


def test_the_facilitators_word_carries_its_reason():
    settled = settle(Answers(), "replay", Given(level=2), "the auditor said so")
    assert settled.given["replay"] == Given(level=2, note="the auditor said so")


def test_opposite_rankings_agree_in_nothing():
    assert kendall_w([(1, 2, 3), (3, 2, 1)]) == 0


def test_weights_are_averaged_to_a_sum_of_one():
    assert mean_weights([[0.5, 0.5], [0.9, 0.1]]) == [0.7, 0.3]
    assert mean_weights([[0.5, 0.5], [0.9, 0.1]], geometric=True) == pytest.approx([0.75, 0.25])
