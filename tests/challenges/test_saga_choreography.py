"""The pure half of the challenge: what its events look like, and what must be left of the stock."""

import random
import re

from challenges.catalogue import load
from challenges.saga_choreography.scenarios import (
    AVAILABLE,
    PRODUCTS,
    cancellation,
    expected,
    id_of_partition_1,
    order,
    orders,
    tally,
)
from graders.facts import Effect
from graders.kafka import partition_of


def test_orders_have_ids_of_their_own_and_begin_a_chain() -> None:
    events = orders(random.Random(1), 300)
    for name in ("event_id", "order_id", "correlation_id"):
        assert len({event.value[name] for event in events}) == 300
    assert all(event.id == event.key == event.value["order_id"] for event in events)
    assert {event.value["causation_id"] for event in events} == {None}
    assert all(event.value["correlation_id"] != event.id for event in events)


def test_the_same_seed_gives_the_same_orders() -> None:
    assert orders(random.Random(7), 5) == orders(random.Random(7), 5)
    assert orders(random.Random(7), 5) != orders(random.Random(8), 5)


def test_a_cancellation_belongs_to_its_order_and_demands_no_row() -> None:
    rng = random.Random(1)
    placed = order(rng)
    cancelled = cancellation(rng, placed)
    assert cancelled.key == placed.id
    assert cancelled.value["correlation_id"] == placed.value["correlation_id"]
    assert expected(cancelled.value) == {}


def test_an_order_is_one_reservation() -> None:
    placed = order(random.Random(1), "prod-3", 4)
    assert expected(placed.value) == {"reservations": {"product": "prod-3", "quantity": 4}}


def effect(table: str, quantity: int) -> Effect:
    content = {"product": "prod-1", "quantity": quantity}
    return Effect(
        n=1, t=0, table=table, row=1, id="ord", content=content, instance="", txid="", committed_t=0
    )


def test_the_stock_is_what_there_was_minus_reservations_plus_releases() -> None:
    effects = [effect("reservations", 7), effect("releases", 3), effect("deliveries", 4)]
    left = {row["product"]: row["available"] for row in tally(effects)["stock"]}
    assert left.pop("prod-1") == AVAILABLE - 4
    assert set(left.values()) == {AVAILABLE}
    assert left.keys() | {"prod-1"} == set(PRODUCTS)


def test_the_schema_has_the_stock_that_the_tally_begins_with() -> None:
    schema = load("saga_choreography").schema_sql
    (initial,) = re.findall(
        r"select 'prod-' \|\| n, (\d+) from generate_series\(1, (\d+)\)", schema
    )
    assert initial == (str(AVAILABLE), str(len(PRODUCTS)))


def test_the_race_has_an_order_for_partition_1() -> None:
    id = id_of_partition_1(random.Random(3))
    assert partition_of(id, 2) == 1


def test_every_check_has_questions_in_the_rubric() -> None:
    challenge = load("saga_choreography")
    assert {use.id for use in challenge.checks} <= challenge.questions.keys()
