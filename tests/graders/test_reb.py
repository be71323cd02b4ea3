"""REB, GRD-2 and GRD-3 against hand-made histories: what each check must flag, and the nearest
correct history."""

import pytest

from graders.checks import check
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.histories import verdicts
from tests.graders.ordered import CHANGES, CHECKED, OrderedTale, without_keys

FAIL = Verdict.FAIL


def found(history: History) -> dict[str, Verdict]:
    return verdicts(history, CHECKED)


def handed_over(*, committed: int = 1, pause: float = 5.0) -> OrderedTale:
    """Item a has three versions in partition 2; first has done one of them, committed so far, and
    has given the partition to second."""
    tale = OrderedTale()
    tale.assigned("first", 0, 1, 2, 3)
    for version in (1, 2, 3):
        tale.change("a", version, partition=2)
    tale.fetch("first", 2, 0, 2)
    tale.handle("first", "a", 1)
    if committed:
        tale.commit("first", 2, committed)
    tale.pass_time(pause)
    tale.assigned("first", 0, 1, generation=2)
    tale.assigned("second", 2, 3, generation=2)
    tale.fetch("second", 2, committed, 2)
    return tale


def test_a_clean_handover_is_silent():
    tale = handed_over()
    tale.handle("second", "a", 2, 3)
    assert found(tale.end()) == {}


def test_an_effect_of_the_old_owner_after_one_of_the_new_owner():
    tale = handed_over()
    tale.handle("second", "a", 2)
    tale.handle("first", "a", 3)
    history = tale.end()
    assert found(history) == {"REB-1": FAIL}
    (finding,) = check(history, ["REB-1"])
    assert "first went on with a in changes-2" in finding.claim
    assert found(without_keys(history)) == {}


def test_what_the_old_owner_had_under_way_may_end():
    """The new owner waits for its lock and finds it done."""
    tale = handed_over()
    tale.apply("first", "a", 2)
    tale.publish("first", "a", 2)
    tale.publish("second", "a", 2)
    tale.handle("second", "a", 3)
    assert found(tale.end()) == {}


def test_another_item_of_the_partition_may_end_late():
    tale = handed_over()
    tale.change("b", 1, partition=2)
    tale.fetch("first", 2, 3, 3)
    tale.handle("second", "a", 2)
    tale.handle("first", "b", 1)
    tale.handle("second", "a", 3)
    assert found(tale.end()) == {}


def test_records_may_be_published_by_whoever_finds_them():
    tale = handed_over()
    tale.apply("second", "a", 2)
    tale.publish("first", "a", 2)
    tale.apply("second", "a", 3)
    tale.publish("first", "a", 3)
    assert found(tale.end()) == {}


def test_a_partition_that_came_back_is_the_old_owners_again():
    tale = handed_over()
    tale.handle("second", "a", 2)
    tale.commit("second", 2, 2)
    tale.assigned("second", 3, generation=3)
    tale.assigned("first", 0, 1, 2, generation=3)
    tale.handle("first", "a", 3)
    assert found(tale.end()) == {}


@pytest.mark.parametrize("end", ["frozen", "killed"])
def test_nobody_speaks_of_a_zombie(end):
    tale = handed_over()
    tale.handle("second", "a", 2)
    tale.process("first", end)
    tale.handle("first", "a", 3)
    assert found(tale.end()) == {}


def test_who_was_evicted_was_never_asked():
    tale = OrderedTale()
    tale.assigned("first", 0, 1, 2, 3)
    tale.change("a", 1, partition=2)
    tale.change("a", 2, partition=2)
    tale.fetch("first", 2, 0, 1)
    tale.append("left", instance="first", group="changes-service", member="first-1", by="grader")
    tale.assigned("second", 0, 1, 2, 3, generation=2)
    tale.fetch("second", 2, 0, 1)
    tale.handle("second", "a", 1)
    tale.handle("first", "a", 2)
    assert found(tale.end()) == {}


def test_what_was_finished_long_before_must_be_committed():
    tale = handed_over(committed=0)
    tale.publish("second", "a", 1)
    tale.handle("second", "a", 2, 3)
    assert found(tale.end()) == {"REB-3": FAIL}


def test_what_was_finished_just_before_may_come_again():
    tale = handed_over(committed=0, pause=0.5)
    tale.publish("second", "a", 1)
    tale.handle("second", "a", 2, 3)
    assert found(tale.end()) == {}


def test_what_lies_behind_an_unfinished_change_may_come_again():
    tale = OrderedTale()
    tale.assigned("first", 0, 1, 2, 3)
    for item in ("a", "b"):
        tale.change(item, 1, partition=2)
    tale.fetch("first", 2, 0, 1)
    tale.handle("first", "b", 1)
    tale.pass_time(5)
    tale.assigned("first", 0, 1, generation=2)
    tale.assigned("second", 2, 3, generation=2)
    tale.fetch("second", 2, 0, 1)
    tale.handle("second", "a", 1)
    tale.publish("second", "b", 1)
    assert found(tale.end()) == {}


def test_a_copy_that_was_not_dealt_with_yet_may_come_to_the_next_owner():
    tale = handed_over()
    tale.handle("second", "a", 2, 3)
    tale.commit("second", 2, 3)
    tale.change("a", 1, partition=2)
    tale.assigned("second", 3, generation=3)
    tale.assigned("first", 0, 1, 2, generation=3)
    tale.fetch("first", 2, 3, 3)
    tale.publish("first", "a", 1)
    assert found(tale.end()) == {}


def test_what_an_owner_before_the_old_one_did_need_not_be_known():
    """It was killed after its effect and before its commit."""
    tale = OrderedTale()
    tale.assigned("first", 0, 1, 2, 3)
    tale.change("a", 1, partition=2)
    tale.fetch("first", 2, 0, 0)
    tale.handle("first", "a", 1)
    tale.process("first", "killed")
    tale.pass_time(5)
    tale.process("third", "started")
    tale.assigned("third", 0, 1, 2, 3, generation=2)
    tale.assigned("third", 0, 1, generation=3)
    tale.assigned("second", 2, 3, generation=3)
    tale.fetch("second", 2, 0, 0)
    tale.publish("second", "a", 1)
    assert found(tale.end()) == {}


def many(times: int) -> History:
    tale = OrderedTale()
    for version in range(1, 201):
        tale.change("a", version)
    for _ in range(times):
        tale.fetch("app", 0, 0, 199)
    tale.handle("app", "a", *range(1, 201))
    return tale.end()


def test_a_topic_may_be_read_a_few_times():
    assert found(many(20)) == {}


def test_a_topic_must_not_be_read_for_each_record():
    assert found(many(21)) == {"GRD-2": FAIL}


def idle(cpu_s: float, waited_s: float = 2.0) -> History:
    tale = OrderedTale()
    tale.change("a", 1)
    tale.append("fetched", instance="app", topic=CHANGES, partition=0, first=0, last=0)
    tale.handle("app", "a", 1)
    tale.append("settled", quiet=True, waited_s=0.4)
    tale.append("idle", instance="app", cpu_s=cpu_s, waited_s=waited_s)
    return tale.end()


def test_who_waits_uses_next_to_nothing():
    assert found(idle(0.1)) == {}
    assert found(idle(0.5, waited_s=0.5)) == {}


def test_who_spins_without_work_is_found():
    assert found(idle(1.9)) == {"GRD-3": FAIL}
