"""The pure half of the challenge: what its orders look like, and what they must become."""

import random

from challenges.graceful_shutdown.scenarios import expected, order, orders, sentinel


def test_an_order_becomes_an_invoice_and_an_announcement_with_the_same_values() -> None:
    event = order(random.Random(1))
    content = {"customer": event.key, "amount": event.value["amount"]}
    assert expected(event.value) == {"invoices": content, "announcements": content}
    assert event.value["id"] == event.id


def test_every_order_has_an_id_of_its_own() -> None:
    events = [*orders(random.Random(1), 200), sentinel(random.Random(2))]
    assert len({event.id for event in events}) == 201


def test_the_same_seed_gives_the_same_orders() -> None:
    one, two, other = (orders(random.Random(n), 5) for n in (7, 7, 8))
    assert one == two != other
