"""PRJ checks: hand-made histories, each with its nearest correct one, and the model."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graders.checks import Run, check
from graders.facts import Asked, Effect, Fact, Fetched, Record
from graders.history import History
from graders.projection import Answer, answers_of, is_rebuild, token_of
from graders.verdicts import Verdict
from tests.graders.histories import findings
from tests.graders.views import CHECKED, ORDERS_0, ViewTale, name_of, projected, tell

FAIL = Verdict.FAIL
FEW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MANY = settings(FEW, max_examples=10_000)


def verdicts(history: History) -> dict[str, Verdict]:
    """What each check found, by id: the first finding's verdict."""
    return {finding.check: finding.verdict for finding in reversed(check(history, CHECKED))}


def begun() -> ViewTale:
    """Three events of two rows are read, with a gap between them."""
    tale = ViewTale()
    tale.send("a", 5)
    tale.gap()
    tale.send("a", 2)
    tale.send("b", 1, ("customers.t1", 0))
    tale.fetch_all()
    return tale


def wrong(id: str, tale: ViewTale, generation: int = 1, **fields: Any) -> None:
    """An answer about everything that was read, with a sum that nobody can explain."""
    as_of = {name_of(lane): position for lane, position in tale.read.items()}
    answer = {"as_of": as_of, "generation": generation, "sum": 99}
    tale.ask(id, status=200, answer=answer, **fields)


def test_right_answers_are_silent():
    tale = begun()
    tale.ask("a", {ORDERS_0: 3})
    tale.ask("a")
    tale.ask("nobody")
    assert verdicts(tale.end()) == {}


def test_any_position_in_a_gap_means_the_same():
    tale = begun()
    tale.ask("a", {ORDERS_0: 2})
    tale.ask("a", {ORDERS_0: 1})
    assert verdicts(tale.end()) == {}


def test_a_wrong_row_is_prj_1():
    tale = begun()
    wrong("a", tale)
    history = tale.end()
    assert verdicts(history) == {"PRJ-1": FAIL}
    assert "sum 99" in findings(history, "PRJ-1")[0].claim.replace(
        "a is answered with 99", "sum 99"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 404, "answer": {"as_of": {"orders-0": 3}, "generation": 1}},
        {"status": 200, "answer": {"as_of": {"orders-0": 3}, "generation": 1}},
        {"status": 200, "answer": {"as_of": {"orders-0": 1}, "generation": 1, "sum": 7}},
    ],
)
def test_an_answer_that_its_positions_do_not_explain_is_prj_1(changes: dict[str, Any]):
    tale = begun()
    tale.ask("a", **changes)
    assert verdicts(tale.end()) == {"PRJ-1": FAIL}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"generation": 1, "sum": 7},
        {"as_of": {}, "sum": 7},
        {"as_of": {}, "generation": True},
        {"as_of": {}, "generation": 0},
        {"as_of": [], "generation": 1},
        {"as_of": {"orders-7": 1}, "generation": 1},
        {"as_of": {"orders-0": "1"}, "generation": 1},
        {"as_of": {"orders-0": -1}, "generation": 1},
    ],
)
def test_an_answer_without_the_form_agreed_is_prj_1(answer: Any):
    tale = begun()
    tale.ask("a", answer=answer)
    assert verdicts(tale.end()) == {"PRJ-1": FAIL}


@pytest.mark.parametrize(("status", "found"), [(400, {"PRJ-1": FAIL}), (503, {}), (None, {})])
def test_what_is_put_off_is_not_judged(status: int | None, found: dict):
    tale = begun()
    tale.ask("a", status=status, answer=None)
    assert verdicts(tale.end()) == found


def test_what_was_not_read_cannot_be_in_an_answer():
    tale = begun()
    tale.send("a", 4)
    tale.ask("a", {ORDERS_0: 4})
    tale.fetch_all()
    assert verdicts(tale.end()) == {"PRJ-1": FAIL}


def test_nothing_is_said_when_the_log_is_not_known():
    tale = begun()
    wrong("a", tale)
    assert verdicts(projected(tale)) == {"HAR-1": Verdict.HARNESS_ERROR}


def test_a_good_rebuild_is_silent():
    tale = begun()
    tale.ask("a")
    tale.rebuild(2)
    tale.ask("a")
    tale.fetch_all(again=True)
    tale.ask("a", generation=2)
    assert verdicts(tale.end()) == {}


def test_a_rebuild_that_changes_a_row_is_prj_2():
    tale = begun()
    tale.ask("a")
    tale.rebuild(2)
    tale.fetch_all(again=True)
    wrong("a", tale, generation=2)
    assert verdicts(tale.end()) == {"PRJ-2": FAIL}


def test_what_was_wrong_before_a_rebuild_is_not_the_rebuilds_fault():
    tale = begun()
    wrong("a", tale)
    tale.rebuild(2)
    tale.fetch_all(again=True)
    wrong("a", tale, generation=2)
    assert verdicts(tale.end()) == {"PRJ-1": FAIL}


def test_what_becomes_wrong_after_a_rebuild_is_not_the_rebuilds_fault():
    tale = begun()
    tale.rebuild(2)
    tale.fetch_all(again=True)
    tale.ask("a", generation=2)
    wrong("a", tale, generation=2)
    assert verdicts(tale.end()) == {"PRJ-1": FAIL}


def test_a_rebuild_that_reads_not_everything_is_prj_2():
    tale = begun()
    tale.rebuild(2)
    tale.fetch(ORDERS_0, 2, 2)
    tale.ask("a", generation=2)
    history = tale.end()
    assert verdicts(history) == {"PRJ-2": FAIL}


def test_what_is_sent_during_a_rebuild_need_not_be_read_twice():
    tale = begun()
    tale.rebuild(2)
    tale.fetch_all(again=True)
    tale.send("a", 1)
    tale.fetch_all()
    tale.ask("a", generation=2)
    assert verdicts(tale.end()) == {}


def test_a_rebuild_that_is_taken_up_again_has_read_before():
    tale = begun()
    tale.rebuild(2)
    tale.fetch_all(again=True)
    tale.append("process", instance="app", what="killed")
    tale.rebuild(2)
    tale.ask("a", generation=2)
    assert verdicts(tale.end()) == {}


@pytest.mark.parametrize(("generation", "status"), [(1, 202), (2, 200), (2, 409)])
def test_a_rebuild_that_is_not_agreed_to_is_prj_2(generation: int, status: int):
    tale = begun()
    tale.ask("a")
    tale.rebuild(generation, status)
    tale.fetch_all(again=True)
    assert verdicts(tale.end()) == {"PRJ-2": FAIL}


def reviewed(*, committed: bool, rebuild: bool) -> ViewTale:
    tale = ViewTale()
    sent = tale.send("a", 5, reviewed=True)
    tale.fetch_all()
    tale.review(sent.id)
    if committed:
        tale.commit_all()
    if rebuild:
        tale.rebuild(2)
    tale.fetch_all(again=True)
    tale.review(sent.id)
    return tale


def test_a_rebuild_that_has_effects_is_prj_3():
    tale = reviewed(committed=True, rebuild=True)
    assert verdicts(tale.end()) == {"PRJ-3": FAIL, "EFF-2": FAIL}


@pytest.mark.parametrize(("committed", "rebuild"), [(True, False), (False, True), (False, False)])
def test_a_second_effect_that_may_have_another_reason_is_eff_2_alone(
    committed: bool, rebuild: bool
):
    tale = reviewed(committed=committed, rebuild=rebuild)
    assert verdicts(tale.end()) == {"EFF-2": FAIL}


def test_an_answer_behind_an_earlier_one_is_prj_4():
    tale = begun()
    tale.ask("b")
    tale.ask("a", {ORDERS_0: 1})
    assert verdicts(tale.end()) == {"PRJ-4": FAIL}


@pytest.mark.parametrize(
    ("ends", "answers", "said"),
    [
        (True, "app", "gone at a restart"),
        (False, "other", "app answered first, then other"),
        (False, "app", "Nothing ended in between"),
    ],
)
def test_an_answer_behind_an_earlier_one_says_what_was_in_between(
    ends: bool, answers: str, said: str
):
    tale = begun()
    tale.ask("b")
    if ends:
        tale.append("process", instance="app", what="killed")
    tale.ask("a", {ORDERS_0: 1}, instance=answers)
    (back,) = findings(tale.end(), "PRJ-4")
    assert said in back.why


def test_a_lower_generation_is_prj_4():
    tale = begun()
    tale.rebuild(2)
    tale.fetch_all(again=True)
    tale.ask("a", generation=2)
    tale.ask("a", generation=1)
    assert verdicts(tale.end()) == {"PRJ-4": FAIL}


def test_answers_to_questions_that_overlap_have_no_order():
    tale = begun()
    since = len(tale)
    tale.ask("a")
    tale.ask("a", {ORDERS_0: 1}, since=since)
    assert verdicts(tale.end()) == {}


def test_an_empty_view_during_a_rebuild_is_prj_5():
    tale = begun()
    tale.ask("a")
    tale.rebuild(2)
    tale.ask("a", {})
    assert verdicts(tale.end()) == {"PRJ-5": FAIL}


def test_an_early_change_over_is_prj_5():
    tale = begun()
    tale.ask("a")
    tale.rebuild(2)
    tale.fetch_all(again=True)
    tale.ask("a", {ORDERS_0: 1}, generation=2)
    assert verdicts(tale.end()) == {"PRJ-5": FAIL}


def test_an_old_view_that_is_spoiled_by_a_rebuild_is_prj_5():
    tale = begun()
    tale.ask("a")
    tale.rebuild(2)
    wrong("a", tale)
    assert verdicts(tale.end()) == {"PRJ-5": FAIL}


def test_an_answer_that_lacks_what_was_committed_is_prj_6():
    tale = begun()
    tale.commit_all()
    tale.settle()
    tale.ask("a", {ORDERS_0: 3})
    assert verdicts(tale.end()) == {"PRJ-6": FAIL}


def test_what_was_sent_after_the_last_rest_may_be_missing():
    tale = begun()
    tale.commit_all()
    tale.settle()
    tale.send("a", 3)
    tale.ask("a")
    assert verdicts(tale.end()) == {}


@pytest.mark.parametrize(
    ("position", "found"), [(3, {}), (2, {"PRJ-7": FAIL}), (1, {"PRJ-7": FAIL})]
)
def test_a_record_that_was_asked_for_must_be_in_the_answer(position: int, found: dict):
    tale = begun()
    tale.ask("a", {ORDERS_0: position}, after=(ORDERS_0, 2))
    assert verdicts(tale.end()) == found


def test_a_position_behind_the_end_of_a_transaction_is_no_commit_ahead():
    tale = begun()
    tale.gap()
    tale.commit_all()
    assert verdicts(tale.end()) == {}


def test_a_position_behind_the_end_of_the_log_is_com_1():
    tale = begun()
    tale.commit(ORDERS_0, 5)
    assert verdicts(tale.end()) == {"COM-1": FAIL}


@FEW
@given(tell())
def test_correct_histories_are_silent(history: History):
    assert verdicts(history) == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@MANY
@given(tell())
def test_many_correct_histories_are_silent(history: History):
    assert verdicts(history) == {}


def an_answer(data: st.DataObject, history: History, which: Callable[[Answer], bool]) -> Answer:
    answers = [answer for answer in answers_of(history) if which(answer)]
    assume(answers)
    return data.draw(st.sampled_from(answers))


def changed(history: History, asked: Asked, **fields: Any) -> list[Fact]:
    """These facts, with other fields in one answer."""
    answer = {**asked.answer, **fields}
    return [replace(f, answer=answer) if f is asked else f for f in history]


def first_rebuild(history: History) -> int:
    """The fact at which a rebuild was first asked for; beyond the end when none was."""
    asked = [a.since for a in history.of(Asked) if is_rebuild(a, history.began)]
    return min(asked, default=len(history))


def alter_row(data: st.DataObject, history: History) -> list[Fact]:
    """The sum is another, in a view that was never rebuilt."""
    one = an_answer(data, history, lambda a: a.row and a.asked.n < first_rebuild(history))
    return changed(history, one.asked, sum=one.row["sum"] + 10)


def alter_rebuilt_row(data: st.DataObject, history: History) -> list[Fact]:
    """All answers of later generations hold more than they should."""
    facts = list(history)
    for one in answers_of(history):
        if one.generation > 1:
            answer = {**one.asked.answer, "sum": (one.row or {"sum": 0})["sum"] + 10}
            facts[one.asked.n - 1] = replace(one.asked, status=200, answer=answer)
    return facts


def claim_unread(data: st.DataObject, history: History) -> list[Fact]:
    """The last answer goes as far as the log does, though the last batch was never handed out."""
    fetched = history.of(Fetched)
    assume(fetched)
    lane = (fetched[-1].topic, fetched[-1].partition)
    offsets = [
        r.offset
        for r in history.of(Record)
        if (r.topic, r.partition) == lane and r.offset <= fetched[-1].last
    ]
    assume(offsets)
    return [
        f
        for f in history
        if not (
            isinstance(f, Fetched)
            and (f.topic, f.partition) == lane
            and f.first <= max(offsets) <= f.last
        )
    ]


def read_less_again(data: st.DataObject, history: History) -> list[Fact]:
    """A rebuild reads a partition only from where the view is."""
    ends = [a for a in answers_of(history) if a.generation > 1]
    sent = {(r.topic, r.partition) for r in history.of(Record)}
    assume(ends and sent)
    began = first_rebuild(history)
    before = [f for f in history.of(Fetched) if f.n <= began]
    assume(before)
    lane = (before[0].topic, before[0].partition)
    return [
        f
        for f in history
        if not (
            isinstance(f, Fetched)
            and f.n > began
            and (f.topic, f.partition) == lane
            and f.first <= before[0].last
        )
    ]


def review_again(data: st.DataObject, history: History) -> list[Fact]:
    """A review that was committed before a rebuild was asked for comes once more."""
    began = first_rebuild(history)
    assume(began < len(history))
    run = Run(history)
    early = [
        e
        for e in history.of(Effect)
        if e.n <= began and (c := run.commit_past(run.places[e.id][0])) and c.n <= began
    ]
    assume(early)
    facts = list(history)
    facts.insert(began + 1, data.draw(st.sampled_from(early)))
    return facts


def go_back(data: st.DataObject, history: History) -> list[Fact]:
    """The second answer about the row that was there first is of an empty view."""
    return emptied(history, list(answers_of(history))[2].asked)


def go_back_rebuilding(data: st.DataObject, history: History) -> list[Fact]:
    """The first answer after a rebuild was asked for is of an empty view."""
    began = first_rebuild(history)
    return emptied(history, next(a.asked for a in answers_of(history) if a.asked.since > began))


def emptied(history: History, asked: Asked) -> list[Fact]:
    """These facts, with one answer of an empty view, that is right about it."""
    answer = {"as_of": {}, "generation": asked.answer.get("generation", 1)}
    return [replace(f, status=404, answer=answer) if f is asked else f for f in history]


def be_stale(data: st.DataObject, history: History) -> list[Fact]:
    """The last answer is of an empty view."""
    return emptied(history, list(answers_of(history))[-1].asked)


def forget_token(data: st.DataObject, history: History) -> list[Fact]:
    """What was asked for with a token is answered from an empty view."""
    asked = [a for a in history.of(Asked) if token_of(a, history.began)]
    return emptied(history, data.draw(st.sampled_from(asked)))


BACK = {"PRJ-4", "PRJ-5"}
MUTATIONS = [
    (alter_row, "PRJ-1", set(), False),
    (alter_rebuilt_row, "PRJ-2", {"PRJ-1"}, True),
    (claim_unread, "PRJ-1", {"PRJ-2", "GRD-4"}, False),
    (read_less_again, "PRJ-2", {"PRJ-1", "GRD-4"}, True),
    (review_again, "PRJ-3", {"EFF-2"}, True),
    (go_back, "PRJ-4", {"PRJ-7"}, False),
    (go_back_rebuilding, "PRJ-5", {"PRJ-4", "PRJ-7"}, True),
    (be_stale, "PRJ-6", BACK, False),
    (forget_token, "PRJ-7", BACK, False),
]


def mutate(
    data: st.DataObject,
    mutation: Callable[[st.DataObject, History], list[Fact]],
    intended: str,
    companions: set[str],
    rebuilt: bool,
) -> None:
    history = data.draw(tell(begun=True, rebuilt=rebuilt))
    found = set(verdicts(projected(mutation(data, history))))
    assert intended in found, found
    assert found <= {intended, *companions}, found


@pytest.mark.parametrize(("mutation", "intended", "companions", "rebuilt"), MUTATIONS)
@FEW
@given(data=st.data())
def test_mutations_are_found(data, mutation, intended, companions, rebuilt):
    mutate(data, mutation, intended, companions, rebuilt)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("mutation", "intended", "companions", "rebuilt"), MUTATIONS)
@MANY
@given(data=st.data())
def test_many_mutations_are_found(data, mutation, intended, companions, rebuilt):
    mutate(data, mutation, intended, companions, rebuilt)
