"""SHU against hand-made histories: what each check must flag, and the nearest correct history."""

import pytest

from graders.checks import check
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.histories import TOPIC, verdicts
from tests.graders.stops import CHECKED, Stops

FAIL, INCONCLUSIVE = Verdict.FAIL, Verdict.INCONCLUSIVE


def found(history: History) -> dict[str, Verdict]:
    return verdicts(history, CHECKED)


def at_work(orders: int = 3, done: int = 3, committed: int | None = None) -> Stops:
    """Orders in partition 0, all handed to app; so many are done and committed."""
    tale = Stops()
    tale.begin("app")
    for number in range(orders):
        tale.order(f"ord-{number}")
    tale.fetch("app", 0, 0, orders - 1)
    for number in range(done):
        tale.do("app", f"ord-{number}")
    if reached := done if committed is None else committed:
        tale.commit("app", 0, reached)
    return tale


def next_one(tale: Stops, first: int, *ids: str) -> History:
    """Another instance is handed the rest and does these orders."""
    tale.begin("next")
    end = tale.ends[0]
    if first < end:
        tale.fetch("next", 0, first, end - 1)
    tale.do("next", *ids)
    tale.commit("next", 0, end)
    return tale.end()


def stopped(tale: Stops, code: int | None = 0, signal: int | None = None) -> Stops:
    """It is told to stop, leaves and ends."""
    tale.process("app", "terminated")
    tale.leave("app")
    tale.stop("app", code, signal)
    return tale


@pytest.mark.parametrize(("code", "signal"), [(0, None), (143, None), (None, 15)])
def test_a_clean_stop_is_silent(code, signal):
    assert found(next_one(stopped(at_work(), code, signal), 3)) == {}


def test_an_order_that_was_taken_back_comes_again():
    assert found(next_one(stopped(at_work(done=2)), 2, "ord-2")) == {}


@pytest.mark.parametrize(("code", "signal"), [(1, None), (None, 9), (None, 6)])
def test_another_end_is_a_failure(code, signal):
    assert found(next_one(stopped(at_work(), code, signal), 3)) == {"SHU-1": FAIL}


def overdue(tale: Stops) -> Stops:
    tale.process("app", "terminated")
    tale.is_killed("app")
    tale.leave("app", by="grader")
    return tale


def test_who_is_still_there_when_the_grace_is_over():
    history = next_one(overdue(at_work()), 3)
    assert found(history) == {"SHU-1": FAIL}
    (finding,) = check(history, ["SHU-1"])
    assert finding.claim == "app did not end in time when it was told to stop."


def test_a_machine_that_stood_still_says_nothing_of_time():
    tale = overdue(at_work())
    tale.append("stall", drift_s=0.9)
    assert found(next_one(tale, 3))["SHU-1"] == INCONCLUSIVE


def test_who_ends_at_the_last_moment_is_in_time():
    tale = at_work()
    tale.process("app", "terminated")
    tale.leave("app")
    tale.process("app", "overdue")
    tale.process("app", "killed", code=0, reason="exited")
    assert found(next_one(tale, 3)) == {}


def test_who_is_killed_without_a_grace_is_not_judged():
    tale = at_work()
    tale.process("app", "terminated")
    tale.process("app", "killed", signal=9, reason="killed")
    tale.leave("app", by="grader")
    assert found(next_one(tale, 3)) == {}


def taken(tale: Stops, count: int) -> Stops:
    """One order after the other is sent, handed over and done, after SIGTERM."""
    tale.process("app", "terminated")
    for number in range(count):
        tale.order(f"new-{number}")
        offset = tale.ends[0] - 1
        tale.fetch("app", 0, offset, offset)
        tale.do("app", f"new-{number}")
        tale.commit("app", 0, offset + 1)
    tale.leave("app")
    tale.stop("app")
    return tale


def test_a_call_that_was_waiting_may_bring_one_or_two_more():
    assert found(next_one(taken(at_work(), 2), 5)) == {}


def test_who_goes_on_taking_orders():
    assert found(next_one(taken(at_work(), 3), 6)) == {"SHU-2": FAIL}


def test_whatever_was_handed_over_before_may_be_finished():
    tale = at_work(orders=8, done=1)
    tale.process("app", "terminated")
    for number in range(1, 8):
        tale.do("app", f"ord-{number}")
    tale.commit("app", 0, 8)
    tale.leave("app")
    tale.stop("app")
    assert found(next_one(tale, 8)) == {}


def test_what_was_handed_over_together_is_one_batch():
    tale = at_work()
    tale.process("app", "terminated")
    for number in range(5):
        tale.order(f"new-{number}")
    tale.fetch("app", 0, 3, 7)
    tale.do("app", *(f"new-{number}" for number in range(5)))
    tale.commit("app", 0, 8)
    tale.leave("app")
    tale.stop("app")
    assert found(next_one(tale, 8)) == {}


def left_in_the_middle(*, held: bool, late_s: float = 0.0) -> History:
    """The last of three rows comes after app has left."""
    tale = at_work(done=2)
    tale.process("app", "terminated")
    if held:
        tale.fault("applied", target="write to ledger", id="s1", order_id="ord-2")
    tale.leave("app")
    if held:
        tale.fault("released", target="write to ledger", id="s1", order_id="ord-2")
    tale.effect("app", "ord-2", committed_t=tale.now() + late_s)
    tale.announce("app", "ord-2")
    tale.stop("app")
    return next_one(tale, 3)


def test_a_row_that_the_grader_held_when_the_group_was_left():
    assert found(left_in_the_middle(held=True)) == {"SHU-2": FAIL}


def test_a_row_later_than_the_leave_by_the_clocks():
    assert found(left_in_the_middle(held=False, late_s=0.03)) == {"SHU-2": FAIL}


def test_a_row_that_is_only_told_of_after_the_leave():
    assert found(left_in_the_middle(held=False)) == {}


def test_what_was_done_and_not_committed_comes_again():
    history = next_one(stopped(at_work(committed=1)), 1)
    assert found(history) == {"SHU-3": FAIL}
    (finding,) = check(history, ["SHU-3"])
    assert "ord-1 (payments-0@1) came again" in finding.claim


def test_the_last_one_must_be_passed_too():
    assert found(next_one(stopped(at_work(committed=2)), 2)) == {"SHU-3": FAIL}


def test_what_lies_behind_an_order_that_was_taken_back_cannot_be_committed():
    tale = at_work(done=1)
    tale.do("app", "ord-2")
    stopped(tale)
    assert found(next_one(tale, 1, "ord-1")) == {}


def test_a_commit_whose_answer_nobody_saw_may_have_been_done():
    tale = at_work(committed=1)
    tale.process("app", "terminated")
    tale.leave("app")
    tale.stop("app")
    tale.commit("app", 0, 3, outcome="unknown")
    assert found(next_one(tale, 1)) == {}


def test_what_another_life_did_is_not_this_ones_to_commit():
    tale = at_work(committed=1)
    tale.process("app", "killed", signal=9, reason="killed")
    tale.begin("app")
    stopped(tale)
    assert found(next_one(tale, 1)) == {}


@pytest.mark.parametrize(("committed", "expected"), [(True, {}), (False, {"SHU-3": FAIL})])
def test_offsets_count_when_their_transaction_is_committed(committed, expected):
    tale = at_work(committed=0)
    inside = {"api": "TxnOffsetCommit", "producer_id": 7, "epoch": 0}
    tale.commit("app", 0, 3, **inside)
    common = {"instance": "app", "transactional_id": "t", "producer_id": 7, "epoch": 0}
    tale.append("ended", **common, committed=committed, outcome="accepted")
    assert found(next_one(stopped(tale), 0)) == expected


def test_the_survivor_may_be_handed_it_before_the_process_has_ended():
    tale = at_work(committed=2)
    tale.begin("next", 1)
    tale.process("app", "terminated")
    tale.leave("app")
    tale.assign("next", 0, 1)
    tale.fetch("next", 0, 2, 2)
    tale.stop("app")
    tale.commit("next", 0, 3)
    assert found(tale.end()) == {"SHU-3": FAIL}


def test_a_record_that_was_never_sent():
    tale = at_work(done=2, committed=2)
    tale.write("app", "ord-2")
    tale.commit("app", 0, 3)
    assert found(next_one(stopped(tale), 3)) == {"SHU-4": FAIL, "EFF-1": FAIL}


def test_a_record_that_the_next_one_sends_is_not_lost():
    tale = at_work(done=2, committed=2)
    tale.write("app", "ord-2")
    tale.commit("app", 0, 3)
    stopped(tale)
    tale.begin("next")
    tale.announce("next", "ord-2")
    assert found(tale.end()) == {}


def test_a_record_missing_in_the_middle_has_nothing_to_do_with_the_stop():
    tale = at_work(done=1, committed=1)
    tale.write("app", "ord-1")
    tale.do("app", "ord-2")
    tale.commit("app", 0, 3)
    assert found(next_one(stopped(tale), 3)) == {"EFF-1": FAIL}


def test_an_open_transaction():
    tale = at_work()
    tale.part("app", "Produce")
    assert found(next_one(stopped(tale), 3)) == {"SHU-4": FAIL}


@pytest.mark.parametrize("how", ["EndTxn", "fenced"])
def test_a_transaction_that_was_ended(how):
    tale = at_work()
    tale.part("app", "Produce")
    if how == "EndTxn":
        tale.part("app", "EndTxn")
    else:
        own = {"transactional_id": "t", "producer_id": 7, "epoch": 1, "outcome": "accepted"}
        tale.append("producer", instance="app", **own)
    assert found(next_one(stopped(tale), 3)) == {}


def gone(tale: Stops, times: int = 1, signal: int | None = None) -> Stops:
    """It ends, and the grader has to end its session."""
    for _ in range(times):
        tale.process("app", "terminated")
    tale.stop("app", None if signal else 0, signal)
    tale.leave("app", by="grader")
    return tale


def test_who_ends_without_leaving():
    history = next_one(gone(at_work()), 3)
    assert found(history) == {"SHU-5": FAIL}
    (finding,) = check(history, ["SHU-5"])
    assert "with payments-0, payments-1" in finding.second.text


def test_a_member_that_owned_nothing_costs_nobody_anything():
    tale = at_work()
    tale.assign("app")
    assert found(next_one(gone(tale), 3)) == {}


@pytest.mark.parametrize("anew", ["joined", "assigned"])
def test_a_member_that_was_in_a_rebalance_may_leave_too_late(anew):
    tale = at_work()
    tale.process("app", "terminated")
    fields = tale.member("app") | {"generation": 2}
    if anew == "joined":
        tale.append("joined", **fields, protocol="classic")
    else:
        tale.append("assigned", **fields, partitions=[[TOPIC, 0]])
    tale.stop("app")
    tale.leave("app", by="grader")
    assert found(next_one(tale, 3)) == {}


@pytest.mark.parametrize("request_held", ["JoinGroup", "SyncGroup", "ConsumerGroupHeartbeat"])
def test_a_rebalance_that_the_grader_holds_is_a_time_of_its_own(request_held):
    tale = at_work()
    tale.fault("applied", target=request_held)
    assert found(next_one(gone(tale), 3)) == {}
    tale = at_work()
    tale.fault("applied", target=request_held)
    history = next_one(overdue(tale), 3)
    assert found(history) == {"SHU-6": FAIL}
    (finding,) = check(history, ["SHU-6"])
    assert "in the middle of a rebalance" in finding.claim


def test_a_rebalance_that_is_over_is_none():
    tale = at_work()
    tale.fault("applied", target="JoinGroup")
    tale.fault("released", target="JoinGroup")
    assert found(next_one(gone(tale), 3)) == {"SHU-5": FAIL}


def early(tale: Stops) -> Stops:
    tale.process("early", "started")
    tale.process("early", "terminated")
    return tale


@pytest.mark.parametrize("code", [0, 1, 143])
def test_who_is_stopped_while_it_starts_may_end_as_it_likes(code):
    tale = early(at_work())
    tale.stop("early", code)
    assert found(tale.end()) == {}


def test_who_cannot_be_stopped_while_it_starts():
    tale = early(at_work())
    tale.is_killed("early")
    assert found(tale.end()) == {"SHU-6": FAIL}


def test_the_second_signal_changes_nothing():
    tale = at_work()
    tale.process("app", "terminated")
    assert found(next_one(stopped(tale), 3)) == {}


def in_the_middle() -> Stops:
    tale = at_work(done=2)
    tale.fault("applied", target="write to ledger", id="s1", order_id="ord-2")
    return tale


def test_the_second_signal_cuts_the_stop_short():
    tale = gone(in_the_middle(), times=2, signal=15)
    assert found(next_one(tale, 2, "ord-2")) == {"SHU-6": FAIL}


@pytest.mark.parametrize(("times", "signal"), [(1, 15), (2, None)])
def test_another_end_without_leaving_is_not_the_second_signals_doing(times, signal):
    tale = gone(in_the_middle(), times=times, signal=signal)
    assert found(next_one(tale, 2, "ord-2")) == {"SHU-5": FAIL}


def test_who_goes_on_to_the_end_of_its_work_was_not_cut_short():
    assert found(next_one(gone(at_work(), times=2, signal=15), 3)) == {"SHU-5": FAIL}


def test_a_signal_to_what_has_ended_is_none():
    tale = at_work()
    tale.process("app", "exited", code=3, reason="exited")
    tale.leave("app", by="grader")
    tale.process("app", "terminated")
    assert found(next_one(tale, 3)) == {}
