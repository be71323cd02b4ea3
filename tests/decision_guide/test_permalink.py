import pytest

from decision_guide import Answers, GuideError, decode, encode, parse_answers


def test_25_questions_make_13_characters(model):
    id, hash, packed = encode(model, Answers()).split(".")
    assert (id, hash, len(packed)) == (model.id, model.hash[:8], 13)


def test_a_number_becomes_its_answer(model):
    said = parse_answers(model, {"answers": {"throughput": 80}})
    assert decode(model, encode(model, said)).given["throughput"].level == 1


@pytest.mark.parametrize(
    "damage", ["", "eda-fit", "x.y.z", "{model}.AAAA", "{model}.____!", "{model}.?"]
)
def test_a_damaged_link_is_refused(model, damage):
    with pytest.raises(GuideError):
        decode(model, damage.format(model=f"{model.id}.{model.hash[:8]}"))


def test_a_link_for_another_model_says_so(model):
    with pytest.raises(GuideError, match=r"was made for model eda-fit\.00000000"):
        decode(model, "eda-fit.00000000.AAAAAAAAAAAAA")


def test_an_answer_the_question_does_not_have_is_refused(model):
    bad = f"{model.id}.{model.hash[:8]}." + "o" * 13
    with pytest.raises(GuideError, match="has no answer 5"):
        decode(model, bad)
