"""ORD against hand-made histories: what each check must flag, and the nearest correct history."""

import pytest

from graders.checks import Finding, check
from graders.conditions import is_half_done
from graders.facts import Sent, Waited
from graders.history import History
from graders.verdict import conclude, judge, wants_another
from graders.verdicts import Verdict
from tests.graders.histories import verdicts
from tests.graders.ordered import CHECKED, OrderedTale, id_of, without_keys

FAIL = Verdict.FAIL


def found(history: History) -> dict[str, Verdict]:
    return verdicts(history, CHECKED)


def only(history: History, id: str) -> Finding:
    (finding,) = check(history, [id])
    return finding


def told(*versions: int, item: str = "a", partition: int = 0) -> OrderedTale:
    """These versions of an item, sent and handed out."""
    tale = OrderedTale()
    for version in versions:
        tale.change(item, version, partition)
    tale.fetch("app", partition, 0, len(versions) - 1)
    return tale


def test_work_in_order_is_silent():
    tale = told(1, 2, 3)
    tale.handle("app", "a", 1, 2, 3)
    assert found(tale.end()) == {}


def test_a_row_that_never_came_is_lost_and_not_late():
    """Published, committed, never applied: nothing of it came after the commit."""
    tale = told(1)
    tale.publish("app", "a", 1)
    tale.commit("app", 0, 1)
    assert found(tale.end()) == {"EFF-1": FAIL}


def test_rows_out_of_order_are_an_inversion():
    tale = told(1, 2, 3)
    for version in (1, 3, 2):
        tale.apply("app", "a", version)
    tale.publish("app", "a", 1)
    tale.publish("app", "a", 2)
    tale.publish("app", "a", 3)
    history = tale.end()
    assert found(history) == {"ORD-1": FAIL}
    finding = only(history, "ORD-1")
    assert finding.ids == (id_of("a", 2), id_of("a", 3))
    assert (
        finding.claim
        == "chg-a-3 came before chg-a-2 in applied, though it is the later change of a."
    )


def test_records_out_of_order_are_an_inversion():
    tale = told(1, 2)
    tale.apply("app", "a", 1)
    tale.apply("app", "a", 2)
    tale.publish("app", "a", 2)
    tale.publish("app", "a", 1)
    assert found(tale.end()) == {"ORD-1": FAIL}


def test_repeats_of_published_records_are_no_inversion():
    tale = told(1, 2, 3)
    tale.handle("app", "a", 1, 2)
    tale.publish("app", "a", 1)
    tale.publish("app", "a", 2)
    tale.handle("app", "a", 3)
    tale.publish("app", "a", 2)
    assert found(tale.end()) == {}


def test_items_have_no_order_among_each_other():
    tale = OrderedTale()
    tale.change("a", 1)
    tale.change("b", 1)
    tale.fetch("app", 0, 0, 1)
    tale.handle("app", "b", 1)
    tale.handle("app", "a", 1)
    assert found(tale.end()) == {}


def test_a_copy_sent_later_does_not_change_the_order():
    tale = told(1, 2, 1, 3)
    tale.handle("app", "a", 1, 2, 3)
    assert found(tale.end()) == {}


def test_keys_in_several_partitions_have_no_order():
    tale = OrderedTale()
    tale.change("a", 1, partition=0)
    tale.change("a", 2, partition=1)
    tale.fetch("app", 0, 0, 0)
    tale.fetch("app", 1, 0, 0)
    tale.handle("app", "a", 2)
    tale.handle("app", "a", 1)
    assert found(tale.end()) == {}


def test_records_without_a_key_have_no_order():
    tale = told(1, 2)
    tale.apply("app", "a", 2)
    tale.apply("app", "a", 1)
    tale.publish("app", "a", 2, partition=0)
    tale.publish("app", "a", 1, partition=1)
    history = tale.end()
    assert found(history) == {"ORD-1": FAIL, "ORD-2": FAIL}
    assert found(without_keys(history)) == {}


def test_a_key_in_two_partitions_is_split():
    tale = told(1, 2)
    tale.apply("app", "a", 1)
    tale.publish("app", "a", 1, partition=0)
    tale.apply("app", "a", 2)
    tale.publish("app", "a", 2, partition=2)
    assert found(tale.end()) == {"ORD-2": FAIL}


def test_records_without_the_items_key_are_split():
    for key in (None, id_of("a", 1)):
        tale = told(1)
        tale.apply("app", "a", 1)
        tale.publish("app", "a", 1, key=key)
        assert found(tale.end()) == {"ORD-2": FAIL}


def test_two_items_may_lie_in_two_partitions():
    tale = OrderedTale()
    tale.change("a", 1)
    tale.change("b", 1)
    tale.fetch("app", 0, 0, 1)
    tale.apply("app", "a", 1)
    tale.publish("app", "a", 1, partition=0)
    tale.apply("app", "b", 1)
    tale.publish("app", "b", 1, partition=2)
    assert found(tale.end()) == {}


def test_a_change_that_passes_a_refused_one_overtakes_it():
    tale = told(1, 2, 3)
    tale.handle("app", "a", 1)
    tale.fault("applied", "a", 2, action="fail 40001")
    tale.handle("app", "a", 3)
    tale.handle("app", "a", 2)
    history = tale.end()
    assert found(history) == {"ORD-3": FAIL}
    assert only(history, "ORD-3").ids == (id_of("a", 2), id_of("a", 3))


def test_a_change_that_passes_one_that_never_came_overtakes_it():
    tale = told(1, 2, 3)
    tale.handle("app", "a", 1)
    tale.fault("applied", "a", 2, action="fail 40001")
    tale.handle("app", "a", 3)
    assert found(tale.end()) == {"ORD-3": FAIL, "EFF-1": FAIL}


def test_a_refused_change_that_comes_in_its_turn_is_fine():
    tale = told(1, 2, 3)
    tale.handle("app", "a", 1)
    tale.fault("applied", "a", 2, action="fail 40001")
    tale.handle("app", "a", 2, 3)
    assert found(tale.end()) == {}


def test_a_lost_change_that_nothing_hindered_is_lost_and_not_overtaken():
    tale = told(1, 2, 3)
    tale.handle("app", "a", 1, 3)
    assert found(tale.end()) == {"EFF-1": FAIL}


def test_a_split_key_is_not_overtaken():
    tale = told(1, 2)
    tale.fault("applied", "a", 1, action="fail 40001")
    tale.apply("app", "a", 1)
    tale.apply("app", "a", 2)
    tale.publish("app", "a", 2, partition=0)
    tale.publish("app", "a", 1, partition=1)
    assert found(tale.end()) == {"ORD-2": FAIL}


def test_a_record_about_a_row_that_is_held_was_published_too_early():
    tale = told(1)
    tale.fault("applied", "a", 1)
    tale.publish("app", "a", 1)
    tale.fault("released", "a", 1)
    tale.apply("app", "a", 1)
    assert found(tale.end()) == {"EFF-7": FAIL}


def test_a_record_that_was_there_before_its_row_was_held_was_published_too_early():
    tale = told(1)
    tale.publish("app", "a", 1)
    tale.fault("applied", "a", 1)
    tale.fault("released", "a", 1)
    tale.apply("app", "a", 1)
    assert found(tale.end()) == {"EFF-7": FAIL}


@pytest.mark.parametrize("comes_at_last", [True, False])
def test_a_record_about_a_row_that_was_refused_was_published_too_early(comes_at_last: bool):
    tale = told(1)
    tale.fault("applied", "a", 1, "fail 40001")
    tale.publish("app", "a", 1)
    for _ in range(9 if comes_at_last else 0):  # a hundredth of a second each
        tale.fetch("app", 0, 0, 0)
    if comes_at_last:
        tale.apply("app", "a", 1)
    assert found(tale.end())["EFF-7"] == FAIL


def test_a_record_that_was_there_before_its_row_was_refused_was_published_too_early():
    tale = told(1)
    tale.publish("app", "a", 1)
    for _ in range(9):  # a hundredth of a second each
        tale.fetch("app", 0, 0, 0)
    tale.fault("applied", "a", 1, "fail 40001")
    tale.apply("app", "a", 1)
    assert found(tale.end()) == {"EFF-7": FAIL}


def test_a_record_whose_row_is_seen_a_moment_later_is_fine():
    tale = told(1)
    tale.fault("applied", "a", 1, "fail 40001")
    tale.publish("app", "a", 1)
    tale.apply("app", "a", 1)
    assert found(tale.end()) == {}


def test_a_record_after_the_hold_is_fine_even_if_its_row_is_seen_later():
    tale = told(1)
    tale.fault("applied", "a", 1)
    tale.fault("released", "a", 1)
    tale.publish("app", "a", 1)
    tale.apply("app", "a", 1)
    assert found(tale.end()) == {}


def test_a_record_about_a_row_that_was_there_before_is_fine():
    """Held was the second attempt, by an instance that did not know of the first."""
    tale = told(1)
    tale.apply("app", "a", 1)
    tale.fault("applied", "a", 1)
    tale.publish("app", "a", 1)
    tale.fault("dropped", "a", 1)
    assert found(tale.end()) == {}


def test_a_row_by_another_instance_may_be_told_of_later_than_its_record():
    tale = told(1)
    tale.fault("applied", "a", 1)
    committed_t = tale.now()
    tale.publish("second", "a", 1)
    tale.effect("second", "a", 1, table="applied", row=9, committed_t=committed_t)
    tale.fault("dropped", "a", 1)
    assert found(tale.end()) == {}


def beside(missing: int) -> OrderedTale:
    """One item is held; four others had time, and of so many a change is missing after it."""
    tale = told(1, 2)
    others = ("b", "c", "d", "e")
    for item in others:
        tale.change(item, 1)
    tale.fetch("app", 0, 2, 5)
    tale.handle("app", "a", 1)
    tale.fault("applied", "a", 2)
    for item in others[missing:]:
        tale.handle("app", item, 1)
    ids = [id_of(item, 1) for item in others]
    tale.append("waited", beside="s-chg-a-2", ids=ids, missing=ids[:missing], waited_s=8.0)
    tale.fault("released", "a", 2)
    tale.handle("app", "a", 2)
    for item in others[:missing]:
        tale.handle("app", item, 1)
    return tale


@pytest.mark.parametrize("missing", range(5))
def test_the_grader_waits_on_as_long_as_it_could_accuse(missing: int):
    history = beside(missing).end()
    (waited,) = history.of(Waited)
    others = [sent for sent in history.of(Sent) if sent.id in waited.ids]
    assert is_half_done(others, waited.missing) == (found(history) == {})


def test_half_of_the_other_items_may_wait():
    assert found(beside(missing=0).end()) == {}
    assert found(beside(missing=2).end()) == {}


def test_more_than_half_of_the_other_items_must_not_wait():
    history = beside(missing=3).end()
    assert found(history) == {"ORD-4": FAIL}
    assert only(history, "ORD-4").claim.startswith("While one item waited, 3 of 4 other items")


def test_blocked_keys_must_be_seen_twice_and_silence_no_other_check():
    checks = ["ORD-4", "ORD-1", "EFF-1"]
    blocked, free = (judge(beside(missing=n).end(), checks) for n in (3, 0))
    assert wants_another([blocked])
    assert not wants_another([blocked, blocked])
    assert conclude("a_tale", [blocked, blocked], checks).verdicts == {
        "ORD-4": FAIL,
        "ORD-1": Verdict.PASS,
        "EFF-1": Verdict.PASS,
    }
    assert conclude("a_tale", [blocked, free, free], checks).verdicts["ORD-4"] == Verdict.WARN


def test_waiting_on_a_stalled_machine_says_nothing():
    tale = beside(missing=4)
    tale.append("stall", drift_s=1.0)
    assert found(tale.end()) == {"ORD-4": Verdict.INCONCLUSIVE}


def test_an_unknown_record_has_no_order():
    tale = told(1)
    tale.handle("app", "a", 1)
    tale.append(
        "effect", table="updates", row=9, id="", content={}, instance="app", txid="",
        committed_t=0.1, partition=2,
    )  # fmt: skip
    assert "ORD-2" not in found(tale.end())
