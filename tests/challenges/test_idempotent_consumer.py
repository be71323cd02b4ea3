"""The pure half of the challenge: what its events look like and what they must add up to."""

import random

from challenges.idempotent_consumer.scenarios import expected, fold, payment, payments


def test_payments_have_ids_of_their_own_and_amounts_other_than_zero() -> None:
    events = payments(random.Random(1), 500)
    assert len({event.id for event in events}) == 500
    assert all(event.value["amount"] != 0 for event in events)
    assert all(
        (event.value["id"], event.value["account"]) == (event.id, event.key) for event in events
    )


def test_the_same_seed_gives_the_same_payments() -> None:
    assert payments(random.Random(7), 5) == payments(random.Random(7), 5)
    assert payments(random.Random(7), 5) != payments(random.Random(8), 5)


def test_each_payment_is_one_ledger_row() -> None:
    event = payment(random.Random(1), "acc-1", -300)
    assert expected(event.value) == {"ledger": {"account": "acc-1", "amount": -300}}


def test_balances_are_sums_by_account() -> None:
    values = [{"account": a, "amount": n} for a, n in [("b", 5), ("a", 2), ("b", -7)]]
    assert fold(values) == {
        "balances": [{"account": "a", "balance": 2}, {"account": "b", "balance": -2}]
    }
