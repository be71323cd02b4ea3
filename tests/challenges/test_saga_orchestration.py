"""The pure half of the challenge: its orders, its services' books, and where its crashes lie."""

import random

import pytest

from challenges.saga_orchestration.scenarios import (
    BACKWARD,
    FORWARD,
    action_before,
    expected,
    is_undone_before,
    order,
    orders,
)
from challenges.saga_orchestration.services import FIELDS, Books, Stock, read
from graders.history import Recorder
from graders.participants import DONE, IGNORED, REFUSED, Command
from graders.spec import OutputRecord


def command(action: str, id: str = "c1", **fields) -> Command:
    return Command(id, "ord-1", action, {"id": id, "order": "ord-1", "action": action, **fields})


def charge(id: str = "c1") -> Command:
    return command("charge", id, customer="cus-1", amount=100)


def test_orders_have_ids_of_their_own_and_are_drawn_from_the_seed() -> None:
    events = orders(random.Random(1), 500)
    assert len({event.id for event in events}) == 500
    assert all(event.key == event.id == event.value["id"] for event in events)
    assert orders(random.Random(7), 5) == orders(random.Random(7), 5)


def test_each_order_has_an_outcome() -> None:
    assert expected(order(random.Random(1)).value) == {"order-outcomes": {}}


def test_an_undo_takes_back_what_was_done() -> None:
    books = Books()
    moved = {"customer": "cus-1", "amount": 100}
    assert books.do(charge()) == (DONE, moved)
    assert books.undo(command("refund", "c2", undoes="c1")) == (DONE, moved)


def test_an_undo_bars_what_was_not_done() -> None:
    books = Books()
    assert books.undo(command("refund", "c2", undoes="c1")) == (IGNORED, {})
    assert books.do(charge()) == (REFUSED, {})
    assert books.do(charge("c3"))[0] == DONE


def test_the_stock_gives_what_it_has() -> None:
    stock = Stock()
    stock.free["sku-1"] = 3
    goods = {"sku": "sku-1", "quantity": 2}
    assert stock.reserve(command("reserve", "c1", **goods))[0] == DONE
    assert stock.reserve(command("reserve", "c2", **goods))[0] == REFUSED
    assert stock.release(command("release", "c3", undoes="c1"))[0] == DONE
    assert stock.reserve(command("reserve", "c4", **goods))[0] == DONE
    assert stock.free["sku-1"] == 1


def record(value: bytes | None) -> OutputRecord:
    return OutputRecord("payment-commands", 0, 0, b"ord-1", value, [])


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b'"charge"',
        b'{"action": ["charge"], "id": "c", "order": "o"}',
        b'{"action": "charge", "id": "c", "order": "o"}',
        b'{"action": "charge", "id": 1, "order": "o", "customer": "c", "amount": 1}',
        b'{"action": "charge", "id": "c", "order": "o", "customer": "c", "amount": true}',
        b'{"action": "reserve", "id": "c", "order": "o", "sku": "s", "quantity": 1}',
    ],
)
def test_what_is_no_command_is_not_read(value) -> None:
    assert read(record(value), {"charge": None, "refund": None}) is None


def test_a_command_is_read() -> None:
    value = b'{"action": "refund", "id": "c", "order": "o", "undoes": "d", "more": 1}'
    found = read(record(value), {"charge": None, "refund": None})
    assert found and (found.id, found.subject, found.action) == ("c", "o", "refund")


def test_the_reply_before_each_action() -> None:
    assert [action_before(a, FORWARD) for a in FORWARD] == [
        "",
        "reserve",
        "charge",
        "ship",
        "deduct",
    ]
    assert [action_before(a, BACKWARD) for a in BACKWARD] == ["ship", "refund", "release"]
    assert {*FORWARD, *BACKWARD} - {"outcome"} == FIELDS.keys()


@pytest.mark.parametrize(
    ("facts", "is_before"),
    [
        (["fetched"], False),
        (["fetched", "release"], False),
        (["release", "fetched"], True),
        (["release"], True),
        (["charge", "fetched"], False),
    ],
)
def test_a_reply_tries_nothing_that_comes_after_the_undo(facts: list[str], is_before: bool) -> None:
    history = Recorder()
    at = {"topic": "replies", "partition": 1}
    reply = history.append(
        "sent", **at, offset=3, key="ord-1", id="other-1~1", value={}, expect={}, outcome="ok"
    )
    for fact in facts:
        if fact == "fetched":
            history.append("fetched", instance="app", **at, first=2, last=4)
        else:
            history.append(
                "output",
                instance="app",
                topic="stock-commands",
                partition=0,
                offset=0,
                key="ord-1",
                value={"id": "c1", "order": "ord-1", "action": fact},
            )
    assert is_undone_before(history, "ord-1", "release", reply) == is_before
