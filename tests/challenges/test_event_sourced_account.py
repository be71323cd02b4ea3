"""The pure half of the challenge: what its events look like, and what must be left of the log."""

import random
from datetime import datetime

import pytest

from challenges.catalogue import load
from challenges.event_sourced_account.scenarios import (
    Withdrawal,
    deposit,
    entries,
    expected,
    tally,
    told,
    ups_and_downs,
    withdrawal,
)
from graders.facts import Effect


def test_the_same_seed_gives_the_same_deposits() -> None:
    one, two = ([deposit(random.Random(7)) for _ in range(5)] for _ in range(2))
    assert one == two != [deposit(random.Random(8)) for _ in range(5)]


def test_deposits_have_ids_of_their_own_and_the_account_as_their_key() -> None:
    rng = random.Random(1)
    events = [deposit(rng) for _ in range(300)]
    assert len({event.id for event in events}) == 300
    assert all(event.key == event.value["account"] for event in events)
    assert all(event.value["amount"] > 0 for event in events)


def test_a_deposit_is_one_event_that_is_published() -> None:
    event = deposit(random.Random(1), "acc-1", 700)
    assert expected(event.value).keys() == {"events", "account-events"}


def test_a_withdrawal_names_a_version_only_when_it_expects_one() -> None:
    assert withdrawal(random.Random(1), "acc-1", 7).body.keys() == {"id", "amount"}
    order = Withdrawal("wd-1", "acc-1", 7, expected=0)
    assert order.body == {"id": "wd-1", "amount": 7, "expected_version": 0}
    assert order.path == "/accounts/acc-1/withdrawals"


@pytest.mark.parametrize(
    ("cents", "euros"), [(29, "0.29"), (-1250, "-12.50"), (-5, "-0.05"), (100_110, "1001.10")]
)
def test_both_formats_tell_the_same_cents(cents: int, euros: str) -> None:
    assert told(cents, 1)["data"] == {"amount": euros}
    assert told(cents, 2)["data"] == {"amount": abs(cents)}


def test_given_logs_never_lead_below_zero_and_have_dense_versions() -> None:
    for seed in range(50):
        amounts = ups_and_downs(random.Random(seed), 30)
        assert all(sum(amounts[:n]) >= 0 for n in range(31))
        assert 0 not in amounts
        log = entries(random.Random(seed), "acc-1", amounts)
        assert [row["version"] for row in log] == list(range(1, 31))
        times = [datetime.fromisoformat(row["recorded_at"]) for row in log]
        assert times == sorted(times)


def test_the_log_must_hold_what_was_appended() -> None:
    content = {"entry": 1, "account": "acc-1", "version": 1}
    place = {"row": 1, "instance": "app", "txid": "", "committed_t": 0.0}
    event = Effect(n=1, t=0, table="events", id="dep-1", content=content, **place)
    other = Effect(n=2, t=0, table="snapshots", id="acc-1", content={"version": 1}, **place)
    assert tally([event, other]) == {"events": [content | {"command_id": "dep-1"}]}


def test_the_columns_of_the_log_are_those_that_are_compared() -> None:
    challenge = load("event_sourced_account")
    (log,) = challenge.states
    effect = next(e for e in challenge.effect_tables if e.table == log.table)
    assert set(effect.content) | {effect.id} == {*log.key, *log.values}


def test_every_check_has_questions_in_the_rubric() -> None:
    challenge = load("event_sourced_account")
    assert {use.id for use in challenge.checks} == challenge.questions.keys()
