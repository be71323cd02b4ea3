"""COM checks on hand-made histories."""

import pytest

from graders.verdicts import Verdict
from tests.graders.histories import Tale, findings, steady, verdicts

FAIL, WARN = Verdict.FAIL, Verdict.WARN


def ahead(*, crash: bool, effect_after: bool, held: str = "") -> Tale:
    """The offset of pay-1 is committed while its effect is not there (`held`: the event whose
    effect the grader holds)."""
    tale = Tale()
    tale.process("app", "started")
    tale.send("pay-1", 0)
    tale.fetch("app", 0, 0, 0)
    if held:
        tale.fault("armed", target="write to ledger", id="s1", event_id=held)
        tale.fault("applied", target="write to ledger", id="s1", event_id=held)
    tale.commit("app", 0, 1)
    if held:
        tale.fault("released", target="write to ledger", id="s1", event_id=held)
    if crash:
        tale.process("app", "killed")
        tale.process("app", "started")
    for _ in range(10):
        tale.append("story", text="time goes by")
    if effect_after:
        tale.effect("app", "pay-1")
    return tale


def test_a_commit_ahead_that_lost_the_event_fails_with_its_loss():
    history = ahead(crash=True, effect_after=False).end()
    assert verdicts(history) == {"COM-1": FAIL, "EFF-1": FAIL, "EFF-6": FAIL}
    (finding,) = findings(history, "COM-1")
    assert "committed past pay-1 (payments-0@0) before its effect" in finding.claim


def test_a_commit_ahead_that_lost_nothing_is_a_warning():
    assert verdicts(ahead(crash=False, effect_after=True).end()) == {"COM-1": WARN}
    assert verdicts(ahead(crash=True, effect_after=True).end()) == {"COM-1": WARN}


def test_a_commit_past_an_effect_that_the_grader_holds_fails_though_nothing_was_lost():
    history = ahead(crash=False, effect_after=True, held="pay-1").end()
    assert verdicts(history) == {"COM-1": FAIL}
    assert "was being held" in findings(history, "COM-1")[0].second.text
    other = ahead(crash=False, effect_after=True, held="pay-2").end()
    assert verdicts(other) == {"COM-1": WARN}


@pytest.mark.parametrize(
    ("whats", "action", "verdict"),
    [
        (["applied"], "hold", FAIL),
        (["armed"], "hold", WARN),
        (["applied", "released"], "hold", WARN),
        (["applied", "dropped"], "hold", WARN),
        (["applied"], "fail 40001", FAIL),
    ],
)
def test_only_a_hold_that_holds_or_a_refusal_makes_it_certain(whats, action: str, verdict: Verdict):
    tale = Tale()
    tale.send("pay-1", 0)
    tale.fetch("app", 0, 0, 0)
    for what in whats:
        tale.fault(what, action=action, target="write to ledger", id="s1", event_id="pay-1")
    tale.commit("app", 0, 1)
    if whats == ["armed"]:
        tale.fault("cancelled", target="write to ledger", id="s1", event_id="pay-1")
    for _ in range(5):
        tale.append("story", text="time goes by")
    tale.effect("app", "pay-1")
    assert verdicts(tale.end()) == {"COM-1": verdict}


def test_a_commit_beyond_the_end_of_the_log_is_com_1():
    tale = steady()
    tale.commit("app", 2, 1_000_000)
    history = tale.end()
    assert verdicts(history) == {"COM-1": FAIL}
    assert "where there is no record" in findings(history, "COM-1")[0].claim


def test_a_hold_that_is_over_proves_nothing():
    tale = Tale()
    tale.send("pay-1", 0)
    tale.fetch("app", 0, 0, 0)
    tale.fault("applied", target="write to ledger", id="s1", event_id="pay-1")
    tale.fault("released", target="write to ledger", id="s1", event_id="pay-1")
    tale.effect("app", "pay-1")
    tale.commit("app", 0, 1)
    assert verdicts(tale.end()) == {}


def test_an_event_that_was_swallowed_without_a_crash_is_a_loss_alone():
    history = ahead(crash=False, effect_after=False).end()
    assert verdicts(history) == {"EFF-1": FAIL, "EFF-6": FAIL}


def test_the_end_of_the_run_is_no_crash():
    tale = Tale()
    tale.send("pay-1", 0)
    tale.fetch("app", 0, 0, 0)
    tale.commit("app", 0, 1)
    tale.settle()
    tale.process("app", "killed")  # by the grader, when all is over
    assert verdicts(tale.end(settled=False)) == {"EFF-1": FAIL, "EFF-6": FAIL}


def test_the_clean_stop_of_the_aftershock_is_no_crash():
    tale = ahead(crash=False, effect_after=False)
    tale.settle(missing=1)
    tale.aftershock()
    tale.process("app", "terminated")
    tale.process("app", "killed")
    assert "COM-1" not in verdicts(tale.end())


def test_an_effect_that_is_told_late_but_was_committed_in_time_is_fine():
    tale = Tale()
    tale.send("pay-1", 0)
    tale.fetch("app", 0, 0, 0)
    before = tale.now()
    tale.commit("app", 0, 1)
    tale.effect("app", "pay-1", committed_t=before)
    assert verdicts(tale.end()) == {}


def test_transactional_commits_are_not_judged_by_their_moment():
    tale = Tale()
    tale.send("pay-1", 0)
    tale.fetch("app", 0, 0, 0)
    tale.commit("app", 0, 1, api="TxnOffsetCommit")
    for _ in range(10):
        tale.append("story", text="the transaction is still open")
    tale.effect("app", "pay-1")
    assert verdicts(tale.end()) == {}


def test_a_commit_past_an_event_that_had_its_effect_before_is_fine():
    tale = steady()
    tale.send("pay-0", 2, account="acc-0", amount=10)
    tale.fetch("app", 2, 0, 0)
    tale.commit("app", 2, 1)
    tale.process("app", "killed")
    assert verdicts(tale.end()) == {}


def overtaken(lost: bool) -> Tale:
    tale = Tale()
    for number in range(4):
        tale.send(f"pay-{number}", 0, account=f"acc-{number}")
    tale.fetch("app", 0, 0, 3)
    tale.effect("app", "pay-0")
    tale.effect("app", "pay-3")
    tale.effect("app", "pay-2")
    tale.commit("app", 0, 4)
    if not lost:
        for _ in range(5):
            tale.append("story", text="time goes by")
        tale.effect("app", "pay-1")
    tale.process("app", "killed")
    return tale


def test_the_highest_finished_offset_is_com_3():
    history = overtaken(lost=True).end()
    assert verdicts(history) == {"COM-3": FAIL, "EFF-1": FAIL, "EFF-6": FAIL}
    (finding,) = findings(history, "COM-3")
    assert "finished first" in finding.why
    assert verdicts(overtaken(lost=False).end()) == {"COM-3": WARN}


def test_finished_prefixes_may_be_committed_while_later_records_are_done():
    tale = Tale()
    for number in range(4):
        tale.send(f"pay-{number}", 0, account=f"acc-{number}")
    tale.fetch("app", 0, 0, 3)
    for number, committed in ((0, 1), (2, 1), (1, 3), (3, 4)):
        tale.effect("app", f"pay-{number}")
        tale.commit("app", 0, committed)
    assert verdicts(tale.end()) == {}


def one_too_low(partitions: int, *, clean: bool = True, late: int = 0) -> Tale:
    """Each partition is committed at its last record instead of behind it."""
    tale = Tale()
    tale.process("app", "started")
    for partition in range(partitions):
        for number in range(3):
            tale.send(f"pay-{partition}-{number}", partition, account=f"acc-{partition}-{number}")
        tale.fetch("app", partition, 0, 2)
        for number in range(3):
            tale.effect("app", f"pay-{partition}-{number}")
            tale.commit("app", partition, number + late)
    tale.settle(**({} if late else {"quiet": False, "unmet": ["..."]}))
    tale.aftershock()
    tale.process("app", "terminated")
    tale.process("app", "stopped" if clean else "killed")
    for partition in range(partitions):
        tale.send(f"last-{partition}", partition, account=f"acc-{partition}-last")
    tale.process("app", "started")
    for partition in range(partitions):
        first = min(2 + late, 3)
        tale.fetch("app", partition, first, 3)
        tale.effect("app", f"last-{partition}")
        tale.commit("app", partition, 3 + late)
    return tale


def test_one_too_low_everywhere_is_com_2_and_not_called_stuck():
    history = one_too_low(3).end(quiet=False, unmet=["..."])
    assert verdicts(history) == {"COM-2": FAIL}
    (finding,) = findings(history, "COM-2")
    assert "payments-0 stays at 2" in finding.claim


def test_positions_behind_the_last_record_are_fine():
    assert verdicts(one_too_low(3, late=1).end()) == {}


def test_one_partition_alone_may_be_chance():
    found = verdicts(one_too_low(1).end(quiet=False, unmet=["..."]))
    assert found == {"LIV-1": FAIL}


def test_after_a_kill_nobody_knows_what_was_about_to_be_committed():
    found = verdicts(one_too_low(3, clean=False).end(quiet=False, unmet=["..."]))
    assert found == {"LIV-1": FAIL}


def shared(*, in_between: bool = False) -> Tale:
    """Two instances share three partitions; then the first moves the second's position."""
    tale = Tale()
    tale.assigned("a", 0, 1, 2, generation=1)
    tale.assigned("a", 0, generation=2)
    tale.assigned("b", 1, 2, generation=2)
    if in_between:
        tale.assigned("a", 0, generation=3)
        tale.assigned("b", 1, 2, generation=3)
    tale.commit("a", 1, 0)
    return tale


def test_the_last_commit_for_a_partition_just_given_up_is_fine():
    assert verdicts(shared().end()) == {}


def test_a_cooperative_rebalance_gives_a_partition_away_in_two_steps():
    tale = Tale()
    tale.assigned("a", 0, 1, 2, generation=1)
    tale.assigned("a", 0, generation=2)
    tale.assigned("b", generation=2)
    tale.assigned("a", 0, generation=3)
    tale.assigned("b", 1, 2, generation=3)
    tale.commit("a", 1, 0)
    assert verdicts(tale.end()) == {}


def test_who_was_frozen_may_have_missed_the_rebalance_that_took_its_partitions():
    tale = Tale()
    tale.assigned("a", 0, 1, 2, generation=2)
    tale.assigned("b", 0, 1, 2, generation=4)
    tale.assigned("a", generation=5)
    tale.commit("a", 1, 0)
    assert verdicts(tale.end()) == {}


def test_an_assignment_that_is_told_twice_is_one():
    tale = Tale()
    tale.assigned("a", 0, 1, 2, generation=1)
    tale.assigned("b", 1, 2, generation=2)
    for _ in range(3):
        tale.assigned("a", 0, generation=2)
    tale.commit("a", 1, 0)
    assert verdicts(tale.end()) == {}


def tried_again(offset: int) -> Tale:
    """A commit that is rejected while the owner changes, and another one two generations later."""
    tale = Tale()
    tale.assigned("a", 0, 1, 2, generation=1)
    tale.commit("a", 1, 0, outcome="rejected", error="ILLEGAL_GENERATION")
    for generation in (2, 3):
        tale.assigned("a", 0, generation=generation)
        tale.assigned("b", 1, 2, generation=generation)
    tale.commit("a", 1, offset)
    return tale


def test_a_commit_that_the_client_tries_again_is_judged_by_its_first_try():
    assert verdicts(tried_again(0).end()) == {}
    assert verdicts(tried_again(1).end())["COM-4"] == FAIL


def test_a_commit_for_a_partition_of_another_is_com_4():
    history = shared(in_between=True).end()
    assert verdicts(history) == {"COM-4": FAIL}
    (finding,) = findings(history, "COM-4")
    assert finding.claim == "a committed payments-1, which belonged to b."


def again_and_again(times: int, *, by_owner: int = 5) -> Tale:
    """The owner commits, and the instance that had the partition goes on with what it was at."""
    tale = Tale()
    for number in range(6):
        tale.send(f"pay-{number}", 1, account=f"acc-{number}")
        tale.effect("b", f"pay-{number}")
    tale.assigned("a", 0, 1, 2, generation=1)
    tale.assigned("a", 0, generation=2)
    tale.assigned("b", 1, 2, generation=2)
    for _ in range(times):
        tale.commit("b", 1, by_owner)
        tale.commit("a", 1, 3)
    tale.commit("b", 1, 6)
    return tale


def test_who_has_just_lost_a_partition_may_finish_but_not_insist():
    assert "COM-4" not in verdicts(again_and_again(2).end())
    assert "COM-4" not in verdicts(again_and_again(9, by_owner=2).end())
    assert verdicts(again_and_again(3).end())["COM-4"] == FAIL


@pytest.mark.parametrize("api", ["OffsetCommit", "TxnOffsetCommit"])
def test_a_commit_by_an_instance_that_never_joins_is_com_4(api: str):
    tale = Tale()
    tale.send("pay-1", 0)
    tale.fetch("a", 0, 0, 0)
    tale.effect("a", "pay-1")
    tale.commit("a", 0, 1, stranger=True, api=api)
    tale.commit("a", 0, 1, stranger=True, api=api)
    history = tale.end()
    assert verdicts(history) == {"COM-4": FAIL}
    (finding,) = findings(history, "COM-4")
    assert finding.claim == "a committed payments-0 for the group without being a member of it."


def test_a_commit_before_joining_is_left_alone():
    tale = Tale()
    tale.commit("a", 0, 0, stranger=True)
    tale.join("a")
    assert verdicts(tale.end()) == {}


def test_an_instance_with_several_members_may_commit_for_each_of_them():
    tale = Tale()
    for generation in range(3):
        tale.assigned("a", 0, member="a-1", generation=generation)
        tale.assigned("a", 1, member="a-2", generation=generation)
        tale.assigned("b", 2, member="b-1", generation=generation)
    tale.commit("a", 0, 0)
    tale.commit("a", 1, 0)
    assert verdicts(tale.end()) == {}


def test_a_partition_of_a_dead_instance_belongs_to_nobody():
    tale = shared(in_between=True)
    tale = Tale()
    tale.assigned("a", 0, generation=2)
    tale.assigned("a", 0, generation=3)
    tale.assigned("b", 1, 2, generation=3)
    tale.process("b", "killed")
    tale.commit("a", 1, 0)
    assert verdicts(tale.end()) == {}


@pytest.mark.parametrize(("rejections", "found"), [(49, {}), (50, {"COM-4": WARN})])
def test_a_fenced_instance_may_notice_late_but_not_never(rejections: int, found: dict):
    tale = steady()
    for _ in range(rejections):
        tale.commit("app", 0, 3, outcome="rejected", error="UNKNOWN_MEMBER_ID")
    assert verdicts(tale.end()) == found


def back(*between, sticks: bool = True) -> Tale:
    tale = Tale()
    for number in range(6):
        tale.send(f"pay-{number}", 0, account=f"acc-{number}")
    tale.assigned("app", 0, 1, 2)
    tale.fetch("app", 0, 0, 5)
    for number in range(6):
        tale.effect("app", f"pay-{number}")
    tale.commit("app", 0, 6)
    for step in between:
        step(tale)
    tale.commit("app", 0, 4)
    if not sticks:
        tale.commit("app", 0, 6)
    return tale


def test_a_position_that_goes_back_and_stays_there_is_com_5():
    history = back().end()
    assert verdicts(history) == {"COM-5": FAIL}
    assert "from 6 to 4" in findings(history, "COM-5")[0].claim
    assert verdicts(back(sticks=False).end()) == {"COM-5": WARN}


@pytest.mark.parametrize(
    "cause",
    [
        lambda tale: tale.assigned("app", 0, 1, 2, generation=2),
        lambda tale: tale.process("app", "killed"),
        lambda tale: tale.fetch("app", 0, 3, 5),
        lambda tale: tale.fault("applied", target="OffsetCommit/TxnOffsetCommit"),
    ],
    ids=["rebalance", "restart", "rewind", "fault"],
)
def test_a_position_may_go_back_for_a_reason(cause):
    assert verdicts(back(cause).end()) == {}
