"""What holds for any answers at all."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_guide import (
    REASONS,
    Answers,
    Given,
    choose_only,
    decode,
    encode,
    evaluate,
    load_model,
    outline,
    parse_answers,
)
from decision_guide.answers import as_asked, levels_of
from decision_guide.result import Leaning
from decision_guide.scoring import contributions, interval, scores, smallest_gap, weights_for
from decision_guide.selection import barred, incompatible

MODEL = load_model()
FEW = settings(max_examples=15, deadline=None)
MANY = settings(max_examples=150, deadline=None)


def given_to(question):
    levels = st.builds(Given, level=st.integers(0, len(question.answers) - 1))
    rarely = st.one_of(st.just(Given()), st.builds(Given, reason=st.sampled_from(REASONS)))
    return st.one_of(levels, levels, levels, rarely)


answers = st.fixed_dictionaries({}, optional={q.id: given_to(q) for q in MODEL.questions}).map(
    Answers
)
complete = st.fixed_dictionaries(
    {q.id: st.builds(Given, level=st.integers(0, len(q.answers) - 1)) for q in MODEL.questions}
).map(Answers)


def asked_levels(said):
    return as_asked(MODEL, levels_of(MODEL, said)[None, :])[0]


@MANY
@given(answers)
def test_contributions_sum_to_the_gap(said):
    levels = asked_levels(said)
    for decision in MODEL.decisions:
        found = scores(decision, levels[None, :], weights_for(decision, levels))[0]
        for rival in range(1, len(decision.options)):
            parts = sum(c.amount for c in contributions(decision, levels, 0, rival))
            assert abs(parts - (found[0] - found[rival])) < 1e-9


@MANY
@given(answers)
def test_scores_lie_in_their_interval_and_within_0_and_1(said):
    levels = asked_levels(said)
    for decision in MODEL.decisions:
        low, high = interval(decision, levels)
        found = scores(decision, levels[None, :], weights_for(decision, levels))[0]
        assert (low <= found + 1e-9).all()
        assert (found <= high + 1e-9).all()
        assert (low >= -1e-9).all()
        assert (high <= 1 + 1e-9).all()


@MANY
@given(complete, st.sets(st.sampled_from([q.id for q in MODEL.questions])))
def test_an_interval_contains_what_every_concrete_answer_gives(said, forgotten):
    partly = Answers({id: g for id, g in said.given.items() if id not in forgotten})
    whole, known = levels_of(MODEL, said), levels_of(MODEL, partly)
    for decision in MODEL.decisions:
        low, high = interval(decision, known)
        found = scores(decision, whole[None, :], decision.weights)[0]
        assert (low <= found + 1e-9).all()
        assert (found <= high + 1e-9).all()
        assert smallest_gap(decision, known, 0, 1) <= found[0] - found[1] + 1e-9


@MANY
@given(answers)
def test_nothing_excluded_is_recommended_and_nothing_blocked_beside_a_clear_option(said):
    levels = asked_levels(said)
    bars = barred(MODEL, levels[None, :])
    chosen = choose_only(MODEL, said)
    choices = np.array([[d.index(chosen[d.id]) for d in MODEL.decisions]])
    for d in range(len(MODEL.decisions)):
        out = (bars.excluded[d] | incompatible(MODEL, d, choices))[0]
        blocked = bars.blocked[d][0]
        option = choices[0, d]
        assert not out[option]
        assert not (blocked[option] and (~out & ~blocked).any())


@MANY
@given(answers)
def test_a_permalink_brings_the_answers_back(said):
    assert decode(MODEL, encode(MODEL, said)).given == said.given


@MANY
@given(answers)
def test_a_file_brings_the_answers_back(said):
    assert parse_answers(MODEL, json.loads(json.dumps(said.to_json(MODEL)))) == said


@FEW
@given(answers)
def test_the_same_seed_gives_the_same_bytes(said):
    first, second = (json.dumps(evaluate(MODEL, said, draws=200).to_json()) for _ in range(2))
    assert first == second


@settings(max_examples=60, deadline=None)
@given(answers, st.integers(0, 9))
def test_the_outline_says_the_same_as_the_result(said, seed):
    brief = outline(MODEL, said, seed=seed, draws=500)
    whole = evaluate(MODEL, said, seed=seed, draws=500)
    assert brief.next_questions == whole.next_questions
    for short, full in zip(brief.decisions, whole.decisions, strict=True):
        first = full.option(full.recommended).first if full.recommended else 0.0
        names = (full.id, full.title, full.recommended, full.label)
        assert short == Leaning(*names, full.state, full.state_why, first)


@FEW
@given(answers)
def test_a_flip_does_what_it_says(said):
    result = evaluate(MODEL, said, draws=100)
    for found in result.decisions:
        for flip in (*found.flips[:3], *found.pairs[:2]):
            changed = said
            for change in flip.changes:
                question = MODEL.questions[MODEL.question(change.question)]
                changed = changed.having(question.id, Given(level=question.index(change.after)))
            assert choose_only(MODEL, changed)[found.id] == flip.to != found.recommended


@FEW
@given(complete)
def test_no_single_flip_is_missed(said):
    result = evaluate(MODEL, said, draws=100)
    told = {
        (d.id, f.to, f.changes[0].question, f.changes[0].after)
        for d in result.decisions
        for f in d.flips
    }
    for question in MODEL.questions:
        for level, answer in enumerate(question.answers):
            moved = choose_only(MODEL, said.having(question.id, Given(level=level)))
            for found in result.decisions:
                if moved[found.id] != found.recommended:
                    assert (found.id, moved[found.id], question.id, answer.id) in told


@FEW
@given(answers, st.data())
def test_a_robust_decision_survives_any_answer_to_an_open_question(said, data):
    result = evaluate(MODEL, said, draws=300)
    open_ones = [q for q in MODEL.questions if q.id not in said.given]
    robust = [d for d in result.decisions if d.state == "robust"]
    if not open_ones or not robust:
        return
    question = data.draw(st.sampled_from(open_ones))
    level = data.draw(st.integers(0, len(question.answers) - 1))
    after = choose_only(MODEL, said.having(question.id, Given(level=level)))
    for found in robust:
        assert after[found.id] == found.recommended
