"""The pure half of the challenge: its events, its service, and whose a dead letter is."""

import json
import random
from types import SimpleNamespace
from typing import Any

import pytest

from challenges.dead_letter_queue import scenarios
from challenges.dead_letter_queue.scenarios import (
    NO_LONGER_MADE,
    Shipping,
    broken,
    by_hand,
    expected,
    identify,
    no_orders,
    order,
    orders,
    refusal,
    refused,
    withdrawn,
)
from graders.facts import Sent, as_text
from graders.spec import Event, OutputRecord
from sandbox.gateway import HttpRequest

RNG = random.Random


def test_orders_have_ids_of_their_own_and_belong_to_their_key() -> None:
    events = orders(RNG(1), 300)
    assert len({event.id for event in events}) == 300
    assert all(e.value["id"] == e.id and e.value["customer"] == e.key for e in events)
    assert orders(RNG(7), 5) == orders(RNG(7), 5) != orders(RNG(8), 5)


def test_an_order_is_shipped_unless_its_item_is_no_longer_made() -> None:
    good = order(RNG(1), "c-1", item="lamp", quantity=2)
    assert expected(good.value) == {"shipping": {"customer": "c-1", "item": "lamp", "quantity": 2}}
    assert expected(refused(RNG(1), "c-1").value) == {"dlq": {}}


def is_order(value: bytes) -> bool:
    try:
        found = json.loads(value.decode())
        texts = [found[name] for name in ("id", "customer", "item")]
        quantity = found["quantity"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    is_right = type(quantity) is int and 1 <= quantity <= 1000
    return is_right and all(isinstance(t, str) and t for t in texts)


def test_no_poison_is_an_order_and_no_two_are_alike() -> None:
    ids, values = zip(*no_orders(RNG(1)), *no_orders(RNG(2)), strict=True)
    assert not any(map(is_order, values))
    assert len(set(values)) == len(set(ids)) == len(ids) == 38
    assert is_order(json.dumps(order(RNG(1)).value).encode())


def test_an_order_from_another_hand_says_the_same_in_other_bytes() -> None:
    usual = order(RNG(1))
    other = by_hand(usual)
    assert other.payload and other.payload != usual.payload
    found = json.loads(other.payload)
    assert json.dumps(found).encode() != other.payload
    assert found == {**usual.value, "note": found["note"]}
    assert other.expect is None and other.value == usual.value


def test_poison_is_a_dead_letter_and_a_tombstone_is_nothing() -> None:
    assert broken("c-1", "ord-1", b"?").expect == {"dlq": {}}
    assert withdrawn(RNG(1), "c-1").expect == {}


class Shelf:
    """As much of a lab as the shipping service needs."""

    def __init__(self) -> None:
        self.shipped: list[tuple[str, str]] = []

    def note_effect(self, service: str, id: str, content: dict[str, Any], by: str) -> None:
        self.shipped.append((id, by))


def request(body: Any, key: str | None = "k") -> HttpRequest:
    headers = {} if key is None else {"idempotency-key": key}
    return HttpRequest("POST", "/shipments", headers=headers, body=body)


def body_of(event: Event) -> dict[str, Any]:
    value = dict(event.value)
    return {"order": value.pop("id"), **value}


@pytest.mark.asyncio
async def test_the_service_ships_once_for_each_key() -> None:
    shelf = Shelf()
    service = Shipping(shelf)  # type: ignore[arg-type]
    one, two = body_of(order(RNG(1))), body_of(order(RNG(2)))
    asked = [request(one, "a"), request(one, "a"), request(one, "b"), request(two, "a")]
    statuses = [(await service.answer("app", each)).status for each in asked]
    assert statuses == [201, 200, 201, 422]
    assert shelf.shipped == [(one["order"], "app")] * 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (HttpRequest("GET", "/shipments"), 404),
        (HttpRequest("POST", "/"), 404),
        (request({}, None), 400),
        (request(None), 422),
        (request([1]), 422),
        (request({"order": {}, "customer": [], "item": 1, "quantity": "2"}), 422),
    ],
)
async def test_the_service_takes_any_request(asked: HttpRequest, status: int) -> None:
    service = Shipping(Shelf())  # type: ignore[arg-type]
    assert (await service.answer("app", asked)).status == status


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"item": NO_LONGER_MADE[0]}, "no longer made"),
        ({"item": ""}, "item is no text"),
        ({"customer": 7}, ""),  # so that who asks for it is found out
        ({"quantity": 2.5}, ""),
        ({"quantity": 0}, "quantity"),
        ({"quantity": 1001}, "quantity"),
        ({"quantity": "2"}, "quantity"),
    ],
)
def test_what_the_service_refuses(changes: dict[str, Any], reason: str) -> None:
    found = refusal(request({**body_of(order(RNG(1))), **changes}))
    assert reason in found
    assert bool(found) is bool(reason)


def sent(event: Event, offset: int) -> Sent:
    return Sent(
        n=1,
        t=0,
        topic="orders.1",
        partition=0,
        offset=offset,
        key=event.key,
        id=event.id,
        value=event.value,
        expect={},
        raw=event.raw is not None,
        payload=as_text(event.raw.value) if event.raw else None,
    )


@pytest.mark.parametrize(
    ("value", "offset", "whose"),
    [
        (b"\xff?", 0, 0),
        (b"\xff?", 1, 0),  # bytes say more than a wrong origin
        (b"", 1, 1),
        (b'"changed"', 1, 1),
        (b"\xff?", 9, 0),
        (b'"changed"', 9, None),
    ],
)
def test_a_dead_letter_is_known_by_its_bytes_or_by_its_origin(
    value: bytes, offset: int, whose: int | None
) -> None:
    events = [broken("c-1", "ord-1", b"\xff?"), broken("c-1", "ord-2", b""), order(RNG(3))]
    headers = [
        ("dlq.topic", b"orders.1"),
        ("dlq.partition", b"0"),
        ("dlq.offset", str(offset).encode()),
    ]
    record = OutputRecord("dlq", 0, 0, b"c-1", value, headers)
    found = identify(record, [sent(event, n) for n, event in enumerate(events)])
    assert found == (None if whose is None else events[whose].id)


def test_the_service_is_made_anew_for_each_scenario() -> None:
    lab: Any = SimpleNamespace()
    assert scenarios.serve(lab)["shipping"] != scenarios.serve(lab)["shipping"]
