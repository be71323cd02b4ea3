"""ES checks on hand-made histories: mistakes are found, legal twists are not."""

from datetime import timedelta
from typing import Any

import pytest

from graders.accounts import unannounced, upcast
from graders.facts import Asked
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.bank import LONG_AGO, Bank, findings, quiet_day, tally, verdicts

FAIL = Verdict.FAIL
YEARS = "2099-01-01T00:00:00Z"


def only(bank: Bank | History, id: str) -> str:
    """The claim of the one check that finds something."""
    history = bank.end() if isinstance(bank, Bank) else bank
    assert verdicts(history) == {id: FAIL}
    return findings(history, id)[0].claim


def test_an_event_is_owed_to_the_outside_until_a_record_tells_of_it() -> None:
    bank = Bank()
    bank.event("acc-1", 500, "old-1", ours=True)
    bank.open()
    bank.deposit("acc-1", 700, "dep-1")
    assert unannounced(bank) == []
    bank.event("acc-1", -100, "wd-1")
    assert unannounced(bank) == ["wd-1"]
    bank.publish("acc-1", "wd-1")
    assert unannounced(bank) == []


def test_a_correct_day_is_silent() -> None:
    assert verdicts(quiet_day().end()) == {}
    assert verdicts(quiet_day().end(quiet=False)) == {}


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("-12.50", ("withdrawn", 1250)),
        ("0.29", ("deposited", 29)),
        ("1001.10", ("deposited", 100110)),
        ("-0.05", ("withdrawn", 5)),
        ("12.5", (None, None)),
        ("1e9", (None, None)),
        (12, (None, None)),
    ],
)
def test_euros_are_read_as_cents(told: Any, meant: tuple[Any, Any]) -> None:
    assert upcast("moved", told) == meant


def test_a_wrong_balance_is_es_1() -> None:
    bank = quiet_day()
    bank.ask("GET", "/accounts/acc-1", status=200, answer={"version": 2, "balance": 6_001})
    assert "tells a balance of 6001 at version 2 instead of 6000" in only(bank, "ES-1")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"version": 2},
        {"version": "2", "balance": 6_000},
        {"version": 3, "balance": 6_000},
    ],
)
def test_an_answer_of_another_form_is_es_1(answer: Any) -> None:
    bank = quiet_day()
    bank.ask("GET", "/accounts/acc-1", status=200, answer=answer)
    only(bank, "ES-1")


def test_an_answer_that_is_behind_is_es_1_but_not_while_the_event_was_not_known() -> None:
    answer = {"version": 1, "balance": 10_000}
    early, late = Bank(), Bank()
    for bank in (early, late):
        bank.open()
        bank.deposit("acc-1", 10_000, "dep-1")
        since = len(bank)
        bank.withdraw("acc-1", 4_000, "wd-1")
        since = since if bank is early else len(bank)
        bank.ask("GET", "/accounts/acc-1", since=since, status=200, answer=answer)
    assert verdicts(early.end()) == {}
    assert "tells of version 1 instead of 2" in only(late, "ES-1")


def test_an_answer_that_is_behind_is_held_against_the_nearest_version_that_it_had_to_know() -> None:
    bank = quiet_day()
    bank.ask("GET", "/accounts/acc-1", status=200, answer={"version": 1, "balance": 10_000})
    bank.deposit("acc-1", 500, "dep-later")
    (behind,) = findings(bank.end(), "ES-1")
    assert behind.first.text == (
        "Events 1 to 2 make a balance of 6000. They were committed before the question."
    )


def test_an_event_may_be_known_before_its_fact() -> None:
    bank = Bank()
    bank.open()
    bank.deposit("acc-1", 10_000, "dep-1")
    bank.ask("GET", "/accounts/acc-1", status=200, answer={"version": 2, "balance": 6_000})
    bank.withdraw("acc-1", 4_000, "wd-1")
    assert verdicts(bank.end()) == {}


def test_an_unknown_account_is_404_and_a_known_one_is_not() -> None:
    bank = quiet_day()
    bank.ask("GET", "/accounts/acc-1/history", status=404, answer={})
    assert "knows no such account" in only(bank, "ES-1")
    bank = quiet_day()
    bank.ask("GET", "/accounts/acc-none", status=200, answer={"version": 0, "balance": 0})
    assert "instead of 404" in only(bank, "ES-1")


def test_a_history_that_leaves_an_event_out_is_es_1() -> None:
    bank = quiet_day()
    answer = {"version": 2, "events": [{"version": 1, "type": "deposited", "amount": 10_000}]}
    bank.ask("GET", "/accounts/acc-1/history", status=200, answer=answer)
    assert "not the 2 events" in only(bank, "ES-1")


def test_further_fields_are_free() -> None:
    bank = quiet_day()
    events = [
        {"version": 1, "type": "deposited", "amount": 10_000, "at": "long ago"},
        {"version": 2, "type": "withdrawn", "amount": 4_000.0},
    ]
    answer = {"version": 2, "events": events, "etag": 7}
    bank.ask("GET", "/accounts/acc-1/history", status=200, answer=answer)
    assert verdicts(bank.end()) == {}


def a_log_with_a_clock_behind() -> Bank:
    """Version 3 was recorded before version 2, by its clock."""
    bank = Bank()
    for change, minute in ((500, 1), (600, 5), (-700, 3), (900, 6)):
        bank.event("acc-1", change, f"old-{minute}", at=LONG_AGO + timedelta(minutes=minute))
    bank.open()
    return bank


def test_the_versions_are_the_order_and_not_the_clock() -> None:
    bank = a_log_with_a_clock_behind()
    for minute, version in ((0, 0), (1, 1), (2, 1), (3, 3), (4, 3), (5, 3), (6, 4)):
        bank.look("acc-1", f"?at=2026-01-05T10:0{minute}:00Z", version)
    bank.look("acc-1", f"?at={YEARS}", 4)
    assert verdicts(bank.end()) == {}


@pytest.mark.parametrize(
    ("version", "balance"), [(3, -200), (1, 500), (2, 1100), (2, 400), (4, 1300)]
)
def test_another_version_or_other_events_at_a_time_are_es_1(version: int, balance: int) -> None:
    bank = a_log_with_a_clock_behind()
    answer = {"version": version, "balance": balance}
    bank.ask("GET", "/accounts/acc-1?at=2026-01-05T10:04:00Z", status=200, answer=answer)
    only(bank, "ES-1")


def snapshotted() -> Bank:
    """An account of 21 events, with a snapshot at the twentieth."""
    bank = Bank()
    for number in range(19):
        bank.event("acc-1", 100, f"old-{number}")
    bank.open()
    bank.deposit("acc-1", 300, "dep-1")
    bank.snapshot("acc-1", 20)
    bank.withdraw("acc-1", 50, "wd-1")
    bank.look("acc-1")
    bank.rest()
    return bank


def test_snapshots_that_are_right_are_silent_also_twice_and_of_any_version() -> None:
    bank = snapshotted()
    bank.snapshot("acc-1", 20)
    bank.snapshot("acc-1", 7)
    assert verdicts(bank.end()) == {}


def test_a_snapshot_in_the_events_own_transaction_may_be_seen_first() -> None:
    bank = Bank()
    bank.open()
    bank.snapshot("acc-1", 1, 500, txid="tx-7")
    bank.send("acc-1", 500, "dep-1")
    bank.event("acc-1", 500, "dep-1", txid="tx-7")
    bank.publish("acc-1", "dep-1")
    assert verdicts(bank.end(quiet=False)).keys() <= {"GRD-4"}


def test_a_snapshot_before_its_event_is_es_2_though_the_event_came() -> None:
    bank = snapshotted()
    bank.snapshot("acc-1", 22, 2_250)
    bank.deposit("acc-1", 50, "dep-2")
    assert "was durable before that event was" in only(bank, "ES-2")


def test_a_snapshot_of_what_never_happened_is_es_2() -> None:
    bank = snapshotted()
    bank.snapshot("acc-1", 40, 1)
    assert "version 40 was durable before" in only(bank, "ES-2")


def test_a_snapshot_with_another_balance_is_es_2() -> None:
    bank = snapshotted()
    bank.snapshot("acc-1", 21, 2_200)
    assert "holds 2200 at version 21 instead of 2150" in only(bank, "ES-2")


def test_a_wrong_answer_after_a_snapshot_is_es_2() -> None:
    bank = snapshotted()
    bank.ask("GET", "/accounts/acc-1", status=200, answer={"version": 21, "balance": 2_100})
    assert "tells a balance of 2100" in only(bank, "ES-2")


def without_a_snapshot() -> Bank:
    bank = Bank()
    for number in range(19):
        bank.event("acc-1", 100, f"old-{number}")
    bank.open()
    bank.deposit("acc-1", 300, "dep-1")
    return bank


def test_a_missing_snapshot_is_es_2_once_all_was_at_rest_twice() -> None:
    bank = without_a_snapshot()
    bank.rest()
    assert "no snapshot of acc-1 at version 20" in only(bank, "ES-2")
    assert verdicts(without_a_snapshot().end()) == {}, "it may still come"


def test_a_snapshot_may_be_missing_after_a_crash() -> None:
    bank = without_a_snapshot()
    bank.append("process", instance="app", what="killed")
    bank.rest()
    assert verdicts(bank.end()) == {}


@pytest.mark.parametrize(("facts", "is_due"), [(2, False), (40, True)])
def test_a_crash_excuses_no_snapshot_of_a_later_event(facts: int, is_due: bool) -> None:
    """A hundredth of a second passes with each fact, and an event may be on its way for a while."""
    bank = Bank()
    for number in range(19):
        bank.event("acc-1", 100, f"old-{number}")
    bank.open()
    bank.append("process", instance="app", what="killed")
    for _ in range(facts):
        bank.append("process", instance="app", what="restarted")
    bank.deposit("acc-1", 300, "dep-1")
    bank.rest()
    assert verdicts(bank.end()) == ({"ES-2": FAIL} if is_due else {})


def test_one_version_twice_is_es_3_and_nothing_else_is_said_of_the_account() -> None:
    bank = quiet_day()
    bank.withdraw("acc-1", 6_000, "wd-5")
    bank.event("acc-1", -6_000, "wd-6", version=3)
    bank.publish("acc-1", "wd-6")
    bank.withdraw("acc-1", 6_000, "wd-6", status=201, answer={"version": 3, "balance": 0})
    assert "acc-1 has version 3 twice" in only(bank, "ES-3")


def test_a_gap_is_es_3() -> None:
    bank = quiet_day()
    bank.send("acc-1", 5, "dep-9")
    bank.event("acc-1", 5, "dep-9", version=7)
    bank.effect(
        "account-events",
        "dep-9",
        {"account": "acc-1", "version": 7, "type": "deposited", "amount": 5},
        key="acc-1",
    )
    assert "version 7 where 3 was to come" in only(bank, "ES-3")


def test_an_acceptance_at_another_version_than_expected_is_es_3() -> None:
    bank = quiet_day()
    since = len(bank)
    bank.event("acc-1", -10, "wd-5")
    bank.publish("acc-1", "wd-5")
    answer = {"version": 3, "balance": 5_990}
    bank.withdraw("acc-1", 10, "wd-5", expects=1, since=since, status=201, answer=answer)
    assert "expected version 1 of acc-1, and was accepted at version 2" in only(bank, "ES-3")


def test_an_overdraft_is_es_4() -> None:
    bank = quiet_day()
    since = len(bank)
    bank.event("acc-1", -6_001, "wd-5")
    bank.publish("acc-1", "wd-5")
    answer = {"version": 3, "balance": -1}
    bank.withdraw("acc-1", 6_001, "wd-5", since=since, status=201, answer=answer)
    assert "acc-1 is overdrawn: wd-5 leaves -1" in only(bank, "ES-4")


@pytest.mark.parametrize(
    "row",
    [
        {"data": {"amount": 9}},
        {"data": {"amount": "700"}},
        {"data": {}},
        {"type": "withdrawn"},
        {"type": "moved"},
        {"type": "moved", "format": 1, "data": {"amount": "7.00"}},
    ],
)
def test_an_event_that_is_not_what_its_command_says_is_es_4(row: dict[str, Any]) -> None:
    bank = Bank()
    bank.open()
    bank.send("acc-1", 700, "dep-1")
    bank.event("acc-1", 700, "dep-1", row=row)
    assert "ES-4" in verdicts(bank.end())
    assert "no event that a command says" in findings(bank.end(), "ES-4")[0].claim


def test_an_invented_event_is_es_4() -> None:
    bank = quiet_day()
    bank.event("acc-1", 500, "bonus")
    bank.publish("acc-1", "bonus")
    assert "(bonus)" in only(bank, "ES-4")


def test_a_conflict_without_an_expected_version_is_es_4() -> None:
    bank = quiet_day()
    bank.withdraw("acc-1", 10, "wd-5", status=409, answer={})
    assert "answered with 409, though it expected no version" in only(bank, "ES-4")


def test_a_conflict_at_the_expected_version_is_es_4_unless_another_came_in_between() -> None:
    bank = quiet_day()
    bank.withdraw("acc-1", 10, "wd-5", expects=2, status=409, answer={})
    assert "though the account was at version 2" in only(bank, "ES-4")
    bank = quiet_day()
    since = len(bank)
    bank.deposit("acc-1", 5, "dep-3")
    bank.withdraw("acc-1", 10, "wd-5", expects=2, since=since, status=409, answer={})
    assert verdicts(bank.end()) == {}


def test_a_refusal_may_know_an_event_whose_fact_is_late_but_not_one_of_later() -> None:
    def refused(later: float) -> Bank:
        bank = quiet_day()
        asked = bank.withdraw("acc-1", 10, "wd-5", expects=2, status=409, answer={})
        bank.send("acc-1", 5, "dep-3")
        bank.event("acc-1", 5, "dep-3", committed_t=asked.t + later)
        bank.publish("acc-1", "dep-3")
        return bank

    assert verdicts(refused(-0.01).end()) == {}
    only(refused(0.2), "ES-4")


def test_a_refusal_though_there_is_money_is_es_4() -> None:
    bank = quiet_day()
    bank.withdraw("acc-1", 6_000, "wd-2", status=422, answer=None)
    assert "answered with 422, though the balance was 6000" in only(bank, "ES-4")


@pytest.mark.parametrize("status", [200, 202, 400, 404])
def test_a_status_that_the_contract_does_not_know_is_es_4(status: int) -> None:
    bank = quiet_day()
    bank.withdraw("acc-1", 10, "wd-5", status=status, answer={"version": 3, "balance": 5_990})
    assert "which is no answer to a withdrawal" in only(bank, "ES-4")


def test_a_refusal_is_free_while_there_was_no_money_at_some_time() -> None:
    bank = quiet_day()
    since = len(bank)
    bank.deposit("acc-1", 50_000, "dep-3")
    bank.withdraw("acc-1", 20_000, "wd-5", since=since, status=422, answer=None)
    assert verdicts(bank.end()) == {}


@pytest.mark.parametrize("balance", [9_594 * 100, 9_593, 10_000])
def test_a_wrong_answer_about_old_events_is_es_5(balance: int) -> None:
    bank = Bank()
    for number, change in enumerate((10_000, -435, 29)):
        bank.event("acc-old", change, f"old-{number}", format=1)
    bank.open()
    bank.look("acc-old")
    bank.ask("GET", "/accounts/acc-old", status=200, answer={"version": 3, "balance": balance})
    only(bank, "ES-5")


def test_an_old_event_that_is_told_as_it_lies_there_is_es_5() -> None:
    bank = Bank()
    bank.event("acc-old", 29, "old-1", format=1)
    bank.open()
    raw = {"version": 1, "type": "moved", "amount": "0.29"}
    answer = {"version": 1, "events": [raw]}
    bank.ask("GET", "/accounts/acc-old/history", status=200, answer=answer)
    only(bank, "ES-5")


def test_two_events_of_one_command_are_es_6() -> None:
    bank = quiet_day()
    bank.event("acc-1", -4_000, "wd-1")
    assert "wd-1 has 2 events" in only(bank, "ES-6")


def test_an_acceptance_that_is_not_in_the_log_is_es_6() -> None:
    bank = quiet_day()
    bank.withdraw("acc-1", 10, "wd-5", status=201, answer={"version": 3, "balance": 5_990})
    assert "wd-5 was accepted, and has no event" in only(bank, "ES-6")


def test_another_version_in_the_answer_is_es_6() -> None:
    bank = quiet_day()
    answer = {"version": 3, "balance": 6_000}
    bank.withdraw("acc-1", 4_000, "wd-1", status=201, answer=answer)
    assert "accepted with version 3 instead of 2" in only(bank, "ES-6")


def test_too_little_where_another_version_was_expected_is_es_4() -> None:
    bank = quiet_day()
    bank.withdraw("acc-1", 600_000, "wd-2", expects=1, status=422, answer=None)
    assert "not at version 1" in only(bank, "ES-4")
    bank = quiet_day()
    bank.withdraw("acc-1", 600_000, "wd-2", expects=2, status=422, answer=None)
    assert verdicts(bank.end()) == {}


@pytest.mark.parametrize("status", [409, 422])
def test_a_refusal_of_what_was_accepted_is_es_6(status: int) -> None:
    bank = quiet_day()
    bank.withdraw("acc-1", 4_000, "wd-1", expects=1, status=status, answer={})
    assert f"was refused with {status} after its event" in only(bank, "ES-6")


def test_a_refusal_that_left_an_event_is_es_6_unless_one_answer_is_unknown() -> None:
    def refused(*before: int | None) -> Bank:
        bank = quiet_day()
        for status in before:
            bank.withdraw("acc-1", 10, "wd-5", status=status)
        bank.withdraw("acc-1", 10, "wd-5", expects=1, status=409, answer={})
        bank.event("acc-1", -10, "wd-5")
        bank.publish("acc-1", "wd-5")
        return bank

    assert "wd-5 was refused, and has an event" in only(refused(), "ES-6")
    assert verdicts(refused(None).end()) == {}
    assert verdicts(refused(503).end()) == {}


def test_a_record_of_no_event_is_es_7() -> None:
    bank = quiet_day()
    content = {"account": "acc-1", "version": 3, "type": "withdrawn", "amount": 5}
    bank.effect("account-events", "wd-9", content, key="acc-1")
    assert "wd-9, which is not in the log" in only(bank, "ES-7")


@pytest.mark.parametrize(
    "wrong", [{"version": 1}, {"amount": 1}, {"type": "deposited"}, {"amount": None}]
)
def test_a_record_that_tells_otherwise_is_es_7(wrong: dict[str, Any]) -> None:
    bank = Bank()
    bank.open()
    bank.deposit("acc-1", 700, "dep-1")
    bank.event("acc-1", -20, "wd-1")
    bank.publish("acc-1", "wd-1", **wrong)
    answer = {"version": 2, "balance": 680}
    bank.withdraw("acc-1", 20, "wd-1", status=201, answer=answer)
    assert "otherwise than the log" in only(bank, "ES-7")


def test_publishing_what_was_given_is_es_7() -> None:
    bank = quiet_day()
    bank.publish("acc-old", "old-1")
    assert "published before the program's time" in only(bank, "ES-7")


def test_publishing_again_is_es_7_only_after_all_was_at_rest() -> None:
    bank = quiet_day()
    bank.publish("acc-1", "wd-1")
    assert "tells of wd-1 again" in only(bank, "ES-7")
    bank = Bank()
    bank.open()
    bank.deposit("acc-1", 700, "dep-1")
    bank.publish("acc-1", "dep-1")
    assert verdicts(bank.end()) == {}


def test_a_record_that_was_written_before_the_rest_and_seen_after_it_is_free() -> None:
    bank = Bank()
    bank.open()
    bank.deposit("acc-1", 700, "dep-1")
    written = bank.now()
    bank.rest()
    content = {"account": "acc-1", "version": 1, "type": "deposited", "amount": 700}
    bank.effect("account-events", "dep-1", content, key="acc-1", committed_t=written)
    assert verdicts(bank.end()) == {}


def test_publishing_while_the_append_is_held_is_es_7_though_it_came() -> None:
    bank = Bank()
    bank.open()
    bank.send("acc-1", 700, "dep-1")
    bank.hold("applied", "dep-1")
    content = {"account": "acc-1", "version": 1, "type": "deposited", "amount": 700}
    bank.effect("account-events", "dep-1", content, key="acc-1")
    bank.hold("released", "dep-1")
    bank.event("acc-1", 700, "dep-1")
    assert "before it was in the log" in only(bank, "ES-7")


def test_a_withdrawal_that_is_never_published_is_es_7_after_two_rests() -> None:
    bank = Bank()
    bank.open()
    bank.deposit("acc-1", 700, "dep-1")
    bank.event("acc-1", -20, "wd-1")
    bank.withdraw("acc-1", 20, "wd-1", status=201, answer={"version": 2, "balance": 680})
    once = History(bank)
    assert verdicts(once) == {}
    bank.rest()
    assert "wd-1 was never published" in only(bank, "ES-7")


def test_a_row_that_was_changed_or_removed_is_es_8() -> None:
    bank = quiet_day()
    rows = tally([e for e in bank if getattr(e, "table", "") == "events"])["events"]
    changed = [rows[0] | {"format": 2, "data": {"amount": 10_000}}, *rows[1:]]
    assert "is now" in only(bank.end(rewritten=changed), "ES-8")
    assert "is gone" in only(quiet_day().end(rewritten=rows[1:]), "ES-8")


def test_what_was_not_answered_says_nothing() -> None:
    bank = quiet_day()
    for status in (None, 500, 503):
        bank.ask("GET", "/accounts/acc-1", status=status, answer=None, error="late")
        bank.withdraw("acc-1", 1, "wd-7", status=status)
    assert len(bank.of(Asked)) > 6
    assert verdicts(bank.end()) == {}
