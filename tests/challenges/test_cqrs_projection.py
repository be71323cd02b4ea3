"""The pure half of the challenge: what its events look like, and what they add up to."""

import random
from itertools import chain, permutations

from challenges.cqrs_projection.scenarios import (
    LARGE,
    a_history,
    cancelled,
    changed,
    customer,
    deletion,
    expected,
    lane_of,
    large,
    placed,
    project,
    some_customers,
)
from graders.spec import Event

CUS = "cus-1"


def told(topic: str, *events: Event) -> list:
    return [(topic, event.value) for event in events]


def test_only_large_orders_are_reviewed() -> None:
    rng = random.Random(1)
    order = large(rng, CUS)
    row = {"order_id": order.key, "cents": order.value["cents"]}
    assert expected(order.value) == {"reviews": row}
    small = [placed(rng, CUS, LARGE - 1), changed(rng, order), cancelled(rng, order)]
    assert [expected(e.value) for e in (*small, customer(rng), deletion(rng, CUS))] == [{}] * 5


def test_a_customer_is_known_from_its_announcement_to_its_deletion() -> None:
    rng = random.Random(1)
    name, gone, again = customer(rng, CUS), deletion(rng, CUS), customer(rng, CUS)
    orders = told("orders", placed(rng, CUS, 300))
    row = {"customer": CUS, "open_orders": 1, "total_cents": 300}
    assert project(CUS, orders) is None
    assert project(CUS, [*orders, *told("customers", name)]) == row | {"name": name.value["name"]}
    assert project(CUS, [*told("customers", name, gone), *orders]) is None
    known = [*told("customers", name, gone), *orders, *told("customers", again)]
    assert project(CUS, known) == row | {"name": again.value["name"]}


def test_the_order_between_topics_does_not_matter() -> None:
    rng = random.Random(1)
    one, two = placed(rng, CUS, 100), placed(rng, CUS, 40)
    parts = [
        told("customers", customer(rng, CUS)),
        told("orders", one, change := changed(rng, one)),
        told("orders", two, cancelled(rng, two)),
    ]
    rows = [project(CUS, chain(*order)) for order in permutations(parts)]
    assert all(row == rows[0] for row in rows)
    assert rows[0] is not None
    assert rows[0]["open_orders"] == 1
    assert rows[0]["total_cents"] == 100 + change.value["cents"]


def test_each_partition_has_a_customer_and_each_customer_a_large_order() -> None:
    rng = random.Random(1)
    customers = some_customers(rng)
    assert {lane_of(event) for event in customers} == {0, 1}
    events = a_history(rng, [event.key for event in customers])
    assert len([event for event in events if expected(event.value)]) == len(customers)
    assert len({event.id for event in events}) == len(events)


def test_a_tombstone_is_a_record_without_a_value() -> None:
    event = deletion(random.Random(1), CUS)
    assert event.key == CUS
    assert event.payload is None
