"""EFF checks on hand-made histories: mutations are found, legal twists are not."""

from graders.verdicts import Verdict
from tests.graders.histories import Tale, findings, steady, verdicts

FAIL, INCONCLUSIVE = Verdict.FAIL, Verdict.INCONCLUSIVE


def test_a_steady_run_is_silent():
    assert verdicts(steady().end()) == {}


def test_a_redelivered_record_without_second_effect_is_fine():
    tale = steady()
    tale.process("app", "killed")
    tale.process("app", "started")
    tale.fetch("app", 0, 0, 2)
    assert verdicts(tale.end()) == {}


def test_a_lost_event_is_eff_1():
    tale = steady()
    tale.send("pay-lost", 2, account="acc-9", amount=99)
    tale.fetch("app", 2, 0, 0)
    tale.commit("app", 2, 1)
    history = tale.end(missing=1)
    assert verdicts(history) == {"EFF-1": FAIL, "EFF-6": FAIL}
    (lost,) = findings(history, "EFF-1")
    assert "pay-lost (payments-2@0) was lost" in lost.claim
    assert "offset 1" in lost.first.text


def test_an_event_that_was_skipped_without_being_fetched_says_so():
    tale = steady()
    tale.send("pay-lost", 2, account="acc-9", amount=99)
    tale.commit("app", 2, 1)
    (lost,) = findings(tale.end(), "EFF-1")
    assert "never even fetched" in lost.second.text
    assert "auto.offset.reset" in lost.why


def test_a_waiting_event_is_not_called_lost():
    tale = steady()
    tale.send("pay-late", 2, account="acc-9", amount=99)
    found = verdicts(tale.end(quiet=False, unmet=["payments-2: 1 record(s) not committed"]))
    assert found == {"EFF-1": INCONCLUSIVE, "EFF-6": INCONCLUSIVE, "LIV-1": FAIL}


def test_an_event_that_was_lost_before_the_program_got_stuck_is_lost():
    tale = steady()
    tale.send("pay-lost", 2, account="acc-9", amount=99)
    tale.commit("app", 2, 1)
    tale.settle(missing=1)
    tale.send("pay-late", 2, account="acc-8", amount=1)
    history = tale.end(quiet=False, unmet=["payments-2: 1 record(s) not committed"])
    found = findings(history, "EFF-1")
    assert [(f.verdict, f.ids) for f in found] == [
        (FAIL, ("pay-lost",)),
        (INCONCLUSIVE, ("pay-late",)),
    ]


def test_an_event_that_needs_no_effect_cannot_be_lost():
    tale = steady()
    tale.send("ignored", 2, account="acc-9", amount=0, expect={})
    tale.fetch("app", 2, 0, 0)
    tale.commit("app", 2, 1)
    assert verdicts(tale.end()) == {}


def test_two_rows_are_eff_2_even_in_an_unquiet_run():
    tale = steady()
    tale.process("app", "killed")
    tale.process("app", "started")
    tale.fetch("app", 0, 0, 0)
    again = tale.effect("app", "pay-0")
    history = tale.end(quiet=False, moving=True)
    assert verdicts(history)["EFF-2"] == FAIL
    (twice,) = findings(history, "EFF-2")
    assert twice.second.n == again.n
    assert "After a restart" in twice.why


def test_two_records_of_one_event_are_one_event():
    tale = steady()
    tale.send("pay-0", 2, account="acc-0", amount=10)
    tale.fetch("app", 2, 0, 0)
    tale.commit("app", 2, 1)
    assert verdicts(tale.end()) == {}


def test_a_second_effect_of_a_producers_duplicate_names_the_producer():
    tale = steady()
    tale.send("pay-0", 2, account="acc-0", amount=10)
    tale.fetch("app", 2, 0, 0)
    tale.effect("app", "pay-0")
    tale.commit("app", 2, 1)
    history = tale.end()
    assert verdicts(history) == {"EFF-2": FAIL, "EFF-6": FAIL}
    (twice,) = findings(history, "EFF-2")
    assert "payments-0@0 and payments-2@0" in twice.claim
    assert "The event's id is its identity" in twice.why


def test_a_zombies_effect_names_the_pause():
    tale = steady()
    tale.process("app", "frozen")
    tale.process("other", "started")
    tale.fetch("other", 0, 0, 0)
    tale.process("app", "thawed")
    tale.effect("other", "pay-0")
    (twice,) = findings(tale.end(), "EFF-2")
    assert "paused instance" in twice.why


def test_a_second_effect_after_sigterm_names_what_was_to_be_done_before_the_end():
    tale = steady()
    tale.process("app", "terminated")
    tale.process("app", "stopped")
    tale.process("app", "started")
    tale.fetch("app", 0, 0, 0)
    tale.effect("app", "pay-0")
    (twice,) = findings(tale.end(), "EFF-2")
    assert "finished and committed before the end, or taken back" in twice.why


def test_an_effect_that_nobody_sent_is_eff_3():
    tale = steady()
    tale.effect("app", "pay-invented", account="acc-0", amount=0)
    assert verdicts(tale.end()) == {"EFF-3": FAIL}


def test_an_effect_with_another_amount_is_eff_3():
    tale = Tale()
    tale.send("pay-1", 0, amount=100)
    tale.fetch("app", 0, 0, 0)
    tale.effect("app", "pay-1", amount=99)
    tale.commit("app", 0, 1)
    history = tale.end()
    assert verdicts(history) == {"EFF-3": FAIL, "EFF-6": FAIL}
    (wrong,) = findings(history, "EFF-3")
    assert "amount 99 instead of 100" in wrong.claim


def test_an_effect_of_a_record_that_is_not_in_the_log_is_eff_3():
    tale = Tale()
    tale.send("pay-1", 0, outcome="info")
    tale.log.clear()
    tale.fetch("app", 0, 0, 0)
    tale.effect("app", "pay-1")
    assert verdicts(tale.end())["EFF-3"] == FAIL


def test_whole_numbers_may_come_back_as_decimals():
    tale = Tale()
    tale.send("pay-1", 0, amount=100)
    tale.fetch("app", 0, 0, 0)
    tale.effect("app", "pay-1", amount=100.0)
    tale.commit("app", 0, 1)
    assert verdicts(tale.end()) == {}


def twins(swallowed: bool) -> Tale:
    tale = Tale()
    tale.send("pay-1", 0, account="acc-1", amount=50)
    tale.send("pay-2", 0, account="acc-1", amount=50)
    tale.handle("app", 0, "pay-1")
    tale.fetch("app", 0, 1, 1)
    if not swallowed:
        tale.effect("app", "pay-2")
    tale.commit("app", 0, 2)
    return tale


def test_equal_content_taken_for_one_event_is_eff_4_and_not_eff_1():
    assert verdicts(twins(swallowed=False).end()) == {}
    assert verdicts(twins(swallowed=True).end()) == {"EFF-4": FAIL, "EFF-6": FAIL}


def test_what_the_database_refused_was_not_taken_for_its_twin():
    tale = twins(swallowed=True)
    tale.fault("applied", "fail 40001", "write to ledger", event_id="pay-2")
    assert verdicts(tale.end()) == {"EFF-1": FAIL, "EFF-6": FAIL}


def test_equal_content_in_a_stuck_run_is_not_accused():
    found = verdicts(twins(swallowed=True).end(quiet=False))
    assert found["EFF-4"] == INCONCLUSIVE


def test_what_was_never_read_was_not_taken_for_its_twin():
    tale = Tale()
    tale.send("pay-1", 0, account="acc-1", amount=50)
    tale.send("pay-2", 0, account="acc-1", amount=50)
    tale.fetch("app", 0, 1, 1)
    tale.effect("app", "pay-2")
    tale.commit("app", 0, 2)
    assert verdicts(tale.end()) == {"EFF-1": FAIL, "EFF-6": FAIL}


def by_key(crash: bool) -> Tale:
    tale = Tale()
    for number in range(6):
        tale.send(f"pay-{number}", 0, account=f"acc-{number % 2}", amount=number + 1)
    tale.handle("app", 0, "pay-0", "pay-1")
    if crash:
        tale.process("app", "killed")
    tale.fetch("app", 0, 2, 5)
    tale.commit("app", 0, 6)
    return tale


def test_one_effect_for_each_key_is_eff_4():
    tale = by_key(crash=False)
    tale.settle()
    tale.process("app", "killed")  # by the grader, when all is over
    assert verdicts(tale.end(settled=False)) == {"EFF-4": FAIL, "EFF-6": FAIL}


def test_one_effect_for_each_key_after_a_crash_may_have_other_causes():
    assert verdicts(by_key(crash=True).end()) == {"EFF-1": FAIL, "EFF-6": FAIL}


def test_a_second_effect_after_a_rebalance_shows_the_rebalance():
    tale = steady()
    moved = tale.assigned("next", 0, generation=2)
    tale.fetch("next", 0, 0, 0)
    tale.effect("next", "pay-0")
    (twice,) = findings(tale.end(), "EFF-2")
    assert moved.n in twice.rows
    assert f"next was given the partition at #{moved.n}" in twice.why


def test_two_effects_with_other_values_are_eff_5():
    tale = steady()
    tale.effect("app", "pay-0", amount=11)
    found = verdicts(tale.end())
    assert found == {"EFF-2": FAIL, "EFF-3": FAIL, "EFF-5": FAIL, "EFF-6": FAIL}


def test_a_wrong_balance_is_eff_6_alone():
    tale = steady()
    tale.rows["acc-3"] += 1
    history = tale.end()
    assert verdicts(history) == {"EFF-6": FAIL}
    (wrong,) = findings(history, "EFF-6")
    assert wrong.claim == "balances of acc-3 is 14; the events add up to 13."


def test_a_wrong_row_of_no_events_key_names_the_rows_that_it_follows_from():
    tale = steady()
    of_ten = [tale.send(id, 2, account="acc-8", amount=77) for id in ("pay-8", "pay-9")]
    tale.handle("app", 2, *(sent.id for sent in of_ten))
    rows, expected = ([{"amount": 77, "seen": seen}] for seen in (3, 2))
    tale.append("state", table="amounts", key=["amount"], rows=rows, expected=expected, absent={})
    (wrong,) = findings(tale.end(), "EFF-6")
    assert wrong.claim == "amounts of 77 is 3; the events add up to 2."
    assert "2 row(s) that name 77 (" in wrong.first.text and "for pay-8" in wrong.first.text
    assert set(wrong.ids) == {"pay-8", "pay-9"}


def test_a_row_of_nothing_equals_no_row():
    tale = steady()
    tale.rows["acc-never-paid"] = 0
    tale.send("pay-in", 2, account="acc-7", amount=5)
    tale.send("pay-out", 2, account="acc-7", amount=-5)
    tale.handle("app", 2, "pay-in", "pay-out")
    del tale.rows["acc-7"]
    assert verdicts(tale.end()) == {}
