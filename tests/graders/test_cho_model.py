"""CHO against a model: correct courses leave all checks silent, each mutation is found by its check
and by no unrelated one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graders.choreography import Announcement, Choreography
from graders.facts import Commit, Effect, Fact, Fetched, Output, State
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.orders import CHALLENGE, Play
from tests.graders.test_cho import verdicts, without_expectation

FAIL = Verdict.FAIL
FEW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MANY = settings(FEW, max_examples=10_000)
BAD = ("StockRejected", "PaymentDeclined", "OrderCancelled")


@dataclass
class Order:
    """What the services know of an order, and what may still come."""

    id: str
    todo: list[str]
    stock: str = "new"
    known: dict[str, str] = field(default_factory=dict)
    decided: str = ""
    failed: str = ""


class World:
    """A correct program. What one service writes reaches the other whenever the draw says so."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.play = Play()
        self.orders: dict[str, Order] = {}
        self.under_way: list[tuple[str, Order, str, str]] = []  # service, order, type, event id
        self.unexpected: set[str] = set()

    def begin(self) -> None:
        """A new order, and what will befall it, in any order."""
        id = f"ord-{len(self.orders)}"
        fate = ["OrderPlaced", self.draw(st.sampled_from(["PaymentCaptured", "PaymentDeclined"]))]
        fate += ["OrderCancelled"] * self.draw(st.sampled_from([0, 0, 0, 1, 2]))
        self.orders[id] = Order(id, self.draw(st.permutations(fate)))

    def happen(self, order: Order) -> None:
        """The grader sends the order's next event, perhaps twice."""
        type = order.todo.pop(0)
        id = f"{type}-{order.id}-{len(order.todo)}"
        for _ in range(self.draw(st.sampled_from([1, 1, 1, 2]))):
            self.play.send(type, order.id, None, id=id)
            readers = {"OrderPlaced": ("stock", "shipping")}.get(type, ("shipping",))
            self.under_way += [(service, order, type, id) for service in readers]

    def deliver(self) -> None:
        """A service deals with something that is under way to it."""
        index = self.draw(st.integers(0, len(self.under_way) - 1))
        service, order, type, id = self.under_way.pop(index)
        if service == "stock":
            self.stock(order, type, id)
        else:
            self.shipping(order, type, id)
        if self.draw(st.integers(0, 5)) == 5:
            self.under_way.append((service, order, type, id))  # the offset was not committed

    def stock(self, order: Order, type: str, id: str) -> None:
        if type == "OrderPlaced" and order.stock in ("new", "failed"):
            is_enough = order.stock == "new" and self.draw(st.integers(0, 4)) > 0
            order.stock = "reserved" if is_enough else "rejected"
            if is_enough:
                self.play.row("reservations", order.id)
            else:
                self.unexpected.add(order.id)
            self.tell(order, "StockReserved" if is_enough else "StockRejected", id, "shipping")
        elif type == "OrderFailed" and order.stock == "reserved":
            order.stock = "released"
            self.play.row("releases", order.id)
            self.tell(order, "StockReleased", id, "shipping")
        elif type == "OrderFailed" and order.stock == "new":
            order.stock = "failed"

    def shipping(self, order: Order, type: str, id: str) -> None:
        order.known.setdefault(type, id)
        if order.decided:
            return
        if type in BAD:
            order.decided = "OrderFailed"
            self.tell(order, "OrderFailed", id, "stock")
        elif order.known.keys() >= {"OrderPlaced", "StockReserved", "PaymentCaptured"}:
            order.decided = "OrderShipped"
            self.play.row("deliveries", order.id)
            cause = order.known["PaymentCaptured"] if type == "OrderPlaced" else id
            self.tell(order, "OrderShipped", cause, "stock")

    def tell(self, order: Order, type: str, cause: str, reader: str) -> None:
        """Announce something, perhaps twice, with one event id."""
        for _ in range(self.draw(st.sampled_from([1, 1, 1, 2]))):
            id = self.play.write(type, order.id, cause)
            self.under_way.append((reader, order, type, id))

    def run(self, quiet: bool) -> History:
        for _ in range(self.draw(st.integers(1, 4))):
            self.begin()
        while left := [order for order in self.orders.values() if order.todo]:
            if self.under_way and self.draw(st.booleans()):
                self.deliver()
            else:
                self.happen(self.draw(st.sampled_from(left)))
        while self.under_way:
            self.deliver()
        history = self.play.end(quiet=quiet)
        for id in self.unexpected:
            history = without_expectation(history, id)
        return history


@st.composite
def tell(draw: st.DrawFn) -> History:
    """The history of a correct program."""
    return World(draw).run(quiet=True)


@FEW
@given(tell())
def test_correct_courses_are_silent(history: History):
    assert verdicts(history) == {}
    assert Choreography(history).owed == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@MANY
@given(tell())
def test_many_correct_courses_are_silent(history: History):
    assert verdicts(history) == {}


def retold(facts: list[Fact]) -> History:
    """A history of these facts in this order, numbered anew; the stock's state from its rows."""
    told = [replace(fact, n=n, t=n / 100) for n, fact in enumerate(facts, 1)]
    assert CHALLENGE.tally is not None
    rows = [dict(r) for r in CHALLENGE.tally([f for f in told if isinstance(f, Effect)])["stock"]]
    return History(
        replace(f, rows=rows, expected=rows) if isinstance(f, State) else f for f in told
    )


def an_announcement(data: st.DataObject, history: History, *types: str) -> Announcement:
    """One that the program made once only, of these types (any, when none is given)."""
    written = [a for _, a in Choreography(history).written]
    ids = [a.id for a in written]
    found = [a for a in written if ids.count(a.id) == 1 and (not types or a.type in types)]
    assume(found)
    return data.draw(st.sampled_from(found))


def changed(history: History, announcement: Announcement, **changes: object) -> list[Fact]:
    """The history with other fields in the announcement's value."""
    return [
        replace(f, value=f.value | changes)
        if isinstance(f, Output) and f.n == announcement.n
        else f
        for f in history
    ]


def inserted(history: History, fact: Fact, before: Fact) -> list[Fact]:
    facts = list(history)
    facts.insert(before.n - 1, fact)
    return facts


def end_of_play(history: History) -> Fact:
    """The fact before which the course is over and nothing is committed yet."""
    return next(fact for fact in history if isinstance(fact, Commit))


def break_chain(data: st.DataObject, history: History) -> list[Fact]:
    names = st.sampled_from([None, "", "evt-unknown", 12])
    return changed(history, an_announcement(data, history), causation_id=data.draw(names))


def other_correlation(data: st.DataObject, history: History) -> list[Fact]:
    return changed(history, an_announcement(data, history), correlation_id="another")


def second_id(data: st.DataObject, history: History) -> list[Fact]:
    announcement = an_announcement(data, history)
    fact = history.at(announcement.n)
    assert isinstance(fact, Output)
    again = replace(fact, value=fact.value | {"event_id": "another"})
    return inserted(history, again, end_of_play(history))


def drop_row(data: st.DataObject, history: History) -> list[Fact]:
    rows = history.of(Effect)
    assume(rows)
    gone = data.draw(st.sampled_from(rows))
    return [f for f in history if f is not gone]


def double_row(data: st.DataObject, history: History) -> list[Fact]:
    rows = history.of(Effect)
    assume(rows)
    return inserted(history, data.draw(st.sampled_from(rows)), end_of_play(history))


def drop_announcement(data: st.DataObject, history: History) -> list[Fact]:
    """One whose absence nothing else depends on."""
    gone = an_announcement(data, history, "StockReleased", "OrderShipped")
    return [f for f in history if f.n != gone.n]


def unpaid(data: st.DataObject, history: History) -> list[Fact]:
    """An order that is shipped though its payment was declined."""
    shipped = an_announcement(data, history, "OrderShipped")
    facts: list[Fact] = []
    for fact in history:
        value = getattr(fact, "value", None)
        if isinstance(value, dict) and value.get("order_id") == shipped.subject:
            is_paid = value["type"] == "PaymentCaptured"
            fact = replace(fact, value=value | {"type": "PaymentDeclined"}) if is_paid else fact
        facts.append(fact)
    return facts


def deliver_early(data: st.DataObject, history: History) -> list[Fact]:
    """A delivery that is written before the last of the events that it needs is known."""
    rows = [f for f in history.of(Effect) if f.table == "deliveries"]
    assume(rows)
    row = data.draw(st.sampled_from(rows))
    told = Choreography(history).by_subject[row.id]
    lasts = [
        first_fetch(history, next(a for a in told if a.type == need))
        for need in ("StockReserved", "PaymentCaptured")
    ]
    last = max(lasts, key=lambda fetch: fetch.n)
    return inserted(History(f for f in history if f is not row), row, last)


def first_fetch(history: History, announcement: Announcement) -> Fetched:
    """How shipping was handed an event."""
    return next(
        f
        for f in history.of(Fetched)
        if f.topic == announcement.topic and f.first == announcement.offset
    )


Mutation = Callable[[st.DataObject, History], list[Fact]]

MUTATIONS: dict[Mutation, tuple[dict[str, Verdict], set[str]]] = {
    break_chain: ({"CHO-1": FAIL}, set()),
    other_correlation: ({"CHO-1": FAIL}, set()),
    second_id: ({"CHO-3": FAIL}, set()),
    drop_row: ({"CHO-4": FAIL}, {"EFF-1", "COM-1"}),
    double_row: ({"EFF-2": FAIL}, set()),
    # Which of the two it is depends on what reached the service first.
    drop_announcement: ({}, {"CHO-5", "CHO-6"}),
    unpaid: ({"CHO-4": FAIL}, {"CHO-1"}),
    deliver_early: ({"CHO-4": FAIL}, set()),
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
def test_each_mutation_is_found_by_its_check_and_by_no_unrelated_one(mutation: Mutation):
    must, may = MUTATIONS[mutation]

    @FEW
    @given(tell(), st.data())
    def run(history: History, data: st.DataObject) -> None:
        found = verdicts(retold(mutation(data, history)))
        assert found
        assert found.items() >= must.items()
        assert found.keys() <= must.keys() | may

    run()
