"""What happens to the services, and which mistake each story exposes."""

import random
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graders.checks.cho import DECIDED_S
from graders.conditions import (
    Condition,
    applied,
    committed_past,
    committed_past_all,
    effect_of,
    effects_of,
    every,
    group_stable,
    held,
    owns,
    waited_for,
)
from graders.facts import Commit, Effect, Output, Sent
from graders.instance import Instance
from graders.kafka import partition_of
from graders.lab import REFUSALS, Lab
from graders.sink import SinkFault
from graders.spec import Event, OutputRecord

PARTITIONS = (0, 1)
STREETS = ("Elm Street", "Oak Lane", "O'Neill Road", "Mühlenweg", "Łąkowa")
PRODUCTS = tuple(f"prod-{n}" for n in range(1, 21))
AVAILABLE = 1000  # of each product, by schema.sql
# How long to wait for what nearly every program does at once. A program that never does it is
# judged by the rest, so the story goes on without.
USUALLY_S = 8.0
# How long a program gets for what it must not do.
TEMPTATION_S = 1.5
MARGIN_S = 0.5  # on top of what a check asks for
COMMIT_TIMER_S = 6.0  # longer than the usual one
ENDS = ("OrderShipped", "OrderFailed")
OWN_TABLES = 8  # of both services: who ends at each refusal is started again five times


def expected(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """An order gets its reservation, unless its scenario says otherwise."""
    if value["type"] != "OrderPlaced":
        return {}
    return {"reservations": {"product": value["product"], "quantity": value["quantity"]}}


def tally(effects: Sequence[Effect]) -> dict[str, list[dict[str, Any]]]:
    """What there was, minus the reservations, plus the releases."""
    left = Counter(dict.fromkeys(PRODUCTS, AVAILABLE))
    signs = {"reservations": -1, "releases": 1}
    for effect in effects:
        if effect.content["product"] in left:
            left[effect.content["product"]] += (
                signs.get(effect.table, 0) * effect.content["quantity"]
            )
    return {"stock": [{"product": p, "available": n} for p, n in sorted(left.items())]}


def fold(values: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Which orders are reserved is not for the events alone to say: see `tally`."""
    return {}


def hexes(rng: random.Random) -> str:
    return f"{rng.getrandbits(48):012x}"


def order(
    rng: random.Random, product: str | None = None, quantity: int = 0, id: str = "", **more: Any
) -> Event:
    """An order with ids of its own, of a drawn product and quantity, to a drawn address."""
    id = id or f"ord-{hexes(rng)}"
    value = {
        "event_id": f"evt-{hexes(rng)}",
        "type": "OrderPlaced",
        "order_id": id,
        "correlation_id": f"req-{hexes(rng)}",
        "causation_id": None,
        "product": product or rng.choice(PRODUCTS[:15]),
        "quantity": quantity or rng.randrange(1, 6),
        "address": f"{rng.randrange(1, 200)} {rng.choice(STREETS)}",
    }
    return Event(id, id, value, **more)


def orders(rng: random.Random, number: int) -> list[Event]:
    return [order(rng) for _ in range(number)]


sentinel = order


def follow_up(rng: random.Random, type: str, to: Event, cause: Any = None) -> Event:
    """A further event of an order, by the shop or the payment service."""
    id = f"evt-{hexes(rng)}"
    value = {
        "event_id": id,
        "type": type,
        "order_id": to.id,
        "correlation_id": to.value["correlation_id"],
        "causation_id": cause,
    }
    return Event(id, to.key, value, expect={})


def cancellation(rng: random.Random, of: Event) -> Event:
    return follow_up(rng, "OrderCancelled", of)


@dataclass
class Payments:
    """The payment service, played by the grader: it charges each order once, as soon as it hears
    that the goods are reserved, unless the scenario has it charge before. `declined` are the orders
    whose charge fails; `copies` is how often each of its events comes."""

    lab: Lab
    declined: set[str] = field(default_factory=set)
    copies: int = 1
    charged: set[str] = field(default_factory=set)

    def attend(self) -> "Payments":
        """Listen to the stock service from now on."""
        self.lab.react("stock_events", self.hear)
        return self

    async def hear(self, record: OutputRecord) -> None:
        """Charge the order that a StockReserved is about."""
        if record.field("type") == "StockReserved":
            id = record.field("order_id")
            placed = (s for s in self.lab.history.of(Sent) if s.id == id)
            if first := next(placed, None):
                await self.charge(Event(first.id, first.key, first.value), record.field("event_id"))

    async def charge_at_once(self, placed: Sequence[Event]) -> list[Sent]:
        """Charge orders without waiting for their goods."""
        return [
            sent for event in placed for sent in await self.charge(event, event.value["event_id"])
        ]

    async def charge(self, placed: Event, cause: Any) -> list[Sent]:
        """Charge an order in answer to an event; nothing when that was done."""
        if placed.id in self.charged:
            return []
        self.charged.add(placed.id)
        type = "PaymentDeclined" if placed.id in self.declined else "PaymentCaptured"
        event = follow_up(self.lab.sentinel_rng, type, placed, cause)
        self.lab.history.append(
            "performed",
            participant="payments",
            action="charge",
            id=event.id,
            subject=placed.id,
            outcome="refused" if placed.id in self.declined else "done",
        )
        return [
            await self.lab.answer("payments", event.id, event.key, event.value)
            for _ in range(self.copies)
        ]


async def open_shop(lab: Lab) -> tuple[Instance, Instance]:
    """Start one instance of each service."""
    return await lab.start("stock", app="stock"), await lab.start("shipping", app="shipping")


def announced(id: str, *types: str) -> Condition:
    """One of these events about an order is in its topic."""
    return Condition(
        f"{' or '.join(types)} of {id}", lambda h: any(is_about(o, id, types) for o in h.of(Output))
    )


def any_announced(sent: Sequence[Sent], *types: str) -> Condition:
    """One of these events about one of these orders is in its topic."""
    return Condition(
        f"some {' or '.join(types)}",
        lambda h: any(is_about(o, s.id, types) for o in h.of(Output) for s in sent),
    )


def all_announced(sent: Sequence[Sent], *types: str) -> Condition:
    """One of these events about each of these orders is in its topic."""

    def told(output: Output) -> Any:
        value = output.value if isinstance(output.value, dict) else {}
        return value.get("order_id") if value.get("type") in types else None

    ids = {s.id for s in sent}
    return Condition(
        f"{' or '.join(types)} of {len(ids)} orders",
        lambda h: ids <= {told(output) for output in h.of(Output)},
    )


def some(conditions: Sequence[Condition]) -> Condition:
    """At least one of these."""
    return Condition(
        " or ".join(condition.text for condition in conditions),
        lambda h: any(condition.holds(h) for condition in conditions),
    )


def is_about(output: Output, id: str, types: Sequence[str]) -> bool:
    value = output.value if isinstance(output.value, dict) else {}
    return value.get("order_id") == id and value.get("type") in types


def passed(lab: Lab, app: str, id: str, type: str) -> Condition:
    """The app's group has committed past an event of this type about an order."""

    def places() -> set[tuple[str, int, int]]:
        written = (
            (lab.topic(o.topic), o.partition, o.offset)
            for o in lab.history.of(Output)
            if is_about(o, id, (type,))
        )
        sent = (
            (s.topic, s.partition, s.offset or 0)
            for s in lab.history.of(Sent)
            if s.value.get("type") == type and s.value.get("order_id") == id
        )
        return {*written, *sent}

    def holds(_: Any) -> bool:
        found = places()
        return any(
            (c.topic, c.partition) == (topic, partition) and c.offset > offset
            for c in lab.history.of(Commit)
            if c.outcome == "accepted" and c.group == lab.groups[app]
            for topic, partition, offset in found
        )

    return Condition(f"{app} to commit past {type} of {id}", holds)


async def steady_orders(lab: Lab) -> None:
    """No fault at all: orders from before the start and after it, all paid, and events of types
    that are none of the services' business. Exposes programs that miss what was sent before they
    started, that break the chain, or that stumble over an unknown type."""
    Payments(lab).attend()
    early = [s for p in PARTITIONS for s in await lab.send("orders", orders(lab.rng, 3), p)]
    unknown = order(lab.rng)
    await lab.send("orders", [follow_up(lab.rng, "OrderViewed", unknown)])
    await open_shop(lab)
    await lab.reached(all_announced(early, *ENDS), within=USUALLY_S)
    noise = follow_up(lab.rng, "PaymentReminderSent", unknown)
    await lab.answer("payments", noise.id, noise.key, noise.value)
    await lab.send("orders", orders(lab.rng, 6))
    await lab.settle()
    await lab.aftershock()


async def payment_declined(lab: Lab) -> None:
    """Half of the charges fail. Exposes programs without an answer to a failure, and those that
    answer to their own."""
    payments = Payments(lab).attend()
    placed = orders(lab.rng, 8)
    payments.declined = {event.id for event in placed[::2]}
    await open_shop(lab)
    await lab.send("orders", placed)
    await lab.settle()
    await lab.aftershock()


async def sold_out(lab: Lab) -> None:
    """Orders for more than there is, among others, and one for all there is of a product. Exposes
    programs that release what was never reserved, or that never sell the last piece."""
    Payments(lab).attend()
    product = lab.rng.choice(PRODUCTS)
    large = [order(lab.rng, product, AVAILABLE + 1 + n, expect={}) for n in range(3)]
    everything = order(lab.rng, PRODUCTS[-1], AVAILABLE)
    await open_shop(lab)
    await lab.send("orders", [*large, everything, *orders(lab.rng, 4)])
    await lab.settle()
    await lab.aftershock()


async def sent_again(lab: Lab) -> None:
    """Every event comes twice, those of the program too; some orders are cancelled twice, and at
    the end the first orders come once more. Exposes programs that answer to each delivery."""
    payments = Payments(lab, copies=2)
    placed = orders(lab.rng, 9)
    # Its cancellation may overtake its reservation.
    placed[3] = replace(placed[3], expect={})
    payments.declined = {event.id for event in placed[:3]}
    again = Echo(lab, payments)
    lab.react("stock_events", again.hear)
    lab.react("shipments", again.hear)
    await open_shop(lab)
    sent = await lab.send("orders", [event for event in placed for _ in range(2)])
    first, second = (cancellation(lab.rng, placed[3]) for _ in range(2))
    await lab.send("orders", [first, first, second])
    decided = all_announced(sent, *ENDS)
    await lab.reached(decided, within=USUALLY_S)
    await lab.send("orders", [placed[0], placed[8], second, cancellation(lab.rng, placed[8])])
    await lab.settle()
    await lab.aftershock()


@dataclass
class Echo:
    """Writes each event of the program once more, as a producer does that got no answer."""

    lab: Lab
    payments: Payments
    seen: set[str] = field(default_factory=set)

    async def hear(self, record: OutputRecord) -> None:
        """Pass it on to the payment service, and write it again the first time."""
        await self.payments.hear(record)
        value, id = record.json, str(record.field("event_id"))
        if isinstance(value, dict) and id not in self.seen:
            self.seen.add(id)
            key = (record.key or b"").decode("utf-8", "replace")
            event = Event(id, key, value, expect={})
            await self.lab.send(record.topic, [event], record.partition)


async def news_before_the_order(lab: Lab) -> None:
    """The payment service is quick: its news is dealt with before the order itself comes, and the
    failure of one reaches stock before it too; stock is restarted in between. Exposes programs that
    forget what comes too early, or keep it in memory, that keep goods for an order that has failed,
    if only for a moment, that reject an order which is not there yet, or that stand still until the
    order comes."""
    payments = Payments(lab).attend()
    refused, paid, usual = orders(lab.rng, 3), orders(lab.rng, 3), orders(lab.rng, 2)
    payments.declined = {event.id for event in refused}
    stock, _ = await open_shop(lab)
    await lab.until_shared(2, why="both services to take up their partitions")
    news = await payments.charge_at_once([*refused, *paid])
    await lab.reached(every([committed_past(sent) for sent in news]), within=USUALLY_S)
    failed = [p for p in refused if announced(p.id, "OrderFailed").holds(lab.history)]
    known = [passed(lab, "stock", placed.id, "OrderFailed") for placed in failed]
    await lab.reached(every(known), within=USUALLY_S)
    # What is committed so long is dealt with, in a step after the commit too (CHO-4).
    answers = [announced(p.id, "StockReserved", "StockRejected") for p in refused]
    await lab.reached(some(answers), within=DECIDED_S + MARGIN_S)
    await stock.terminate()
    await lab.start("stock", app="stock")
    late = [replace(event, expect={}) for event in refused]
    await lab.send("orders", [*late, *paid, *usual])
    await lab.settle()
    await lab.aftershock()


async def each_comes_last(lab: Lab) -> None:
    """Shipping knows two of the three events that it needs, and the third is long in coming: first
    the payment service takes its time, then the orders lag for stock, at last for shipping itself.
    Meanwhile a paid order is cancelled, and another is rejected before shipping knows it. Exposes
    programs that ship without one of the three, those that do nothing about an order when it comes
    last, and those that heed bad news only in some of the states in between."""
    payments = Payments(lab)
    stock, shipping = await open_shop(lab)
    await lab.until_shared(2, why="both services to take up their partitions")

    await payment_last(lab, payments)
    await reservation_last(lab, payments, stock)
    await order_last(lab, payments, shipping)

    payments.attend()
    await lab.settle()
    await lab.aftershock()


async def payment_last(lab: Lab, payments: Payments) -> None:
    """The payment service takes its time."""
    sent = await lab.send("orders", placed := orders(lab.rng, 3))
    await tempted(lab, sent, "OrderPlaced", "StockReserved")
    await payments.charge_at_once(placed)
    await lab.reached(all_announced(sent, "OrderShipped"), within=USUALLY_S)


async def reservation_last(lab: Lab, payments: Payments, stock: Instance) -> None:
    """Orders are paid before they are reserved, and one of them is cancelled in between."""
    lag = await lab.lag("orders", stock)
    cancelled, *kept = orders(lab.rng, 4)
    sent = await lab.send("orders", [replace(cancelled, expect={}), *kept])
    await payments.charge_at_once([cancelled, *kept])
    await tempted(lab, sent, "OrderPlaced", "PaymentCaptured")
    await lab.send("orders", [cancellation(lab.rng, cancelled)])
    await lab.reached(announced(cancelled.id, "OrderFailed"), within=USUALLY_S)
    lag.release()
    await lab.reached(all_announced(sent[1:], "OrderShipped"), within=USUALLY_S)


async def order_last(lab: Lab, payments: Payments, shipping: Instance) -> None:
    """Orders are reserved and paid, and one of them is rejected, before shipping knows them."""
    lag = await lab.lag("orders", shipping)
    sent = await lab.send("orders", placed := orders(lab.rng, 3))
    large = order(lab.rng, quantity=AVAILABLE + 1, expect={})
    await lab.send("orders", [large])
    await payments.charge_at_once(placed)
    await tempted(lab, sent, "StockReserved", "PaymentCaptured")
    await lab.reached(passed(lab, "shipping", large.id, "StockRejected"), within=USUALLY_S)
    lag.release()
    await lab.reached(all_announced(sent, "OrderShipped"), within=USUALLY_S)


async def tempted(lab: Lab, sent: Sequence[Sent], *types: str) -> None:
    """Wait until shipping has dealt with these events of each order, and a moment longer: it must
    not ship yet."""
    known = every([passed(lab, "shipping", s.id, type) for s in sent for type in types])
    shipped = effects_of(sent, 1, "deliveries") | any_announced(sent, "OrderShipped")
    await lab.reached(known | shipped, within=USUALLY_S)
    await lab.reached(shipped, within=TEMPTATION_S)


async def cancelled_at_last_moment(lab: Lab) -> None:
    """An order is cancelled while its reservation waits in the database, and another instance of
    stock gets to know that it failed. Exposes programs that look for the reservation, find none
    yet, and leave it at that."""
    Payments(lab).attend()
    await open_shop(lab)
    await lab.start("stock-2", app="stock")
    await lab.until_shared(3, why="two instances of stock to share the topics")
    victim = order(lab.rng, id=id_of_partition_1(lab.rng), expect={})
    reserving = await lab.sink.hold("reservations", row={"order_id": victim.id})
    (placed,) = await lab.send("orders", [victim], partition=0)
    await lab.until(held(reserving), within=15, why="stock to reserve the goods")
    await lab.send("orders", [cancellation(lab.rng, victim)], partition=0)
    failed = announced(placed.id, "OrderFailed")
    await lab.until(failed, within=15, why="shipping to announce the failure")
    known = passed(lab, "stock", placed.id, "OrderFailed")
    await lab.reached(known | waited_for(reserving), within=USUALLY_S)
    await reserving.release()
    await lab.send("orders", orders(lab.rng, 4))
    await lab.settle()
    await lab.aftershock()


def id_of_partition_1(rng: random.Random) -> str:
    """An order's id that the usual ways of choosing a partition by the key put into partition 1 of
    2: so its order, sent to partition 0, and its failure have different readers."""
    while True:
        id = f"ord-{hexes(rng)}"
        if zlib.crc32(id.encode()) % 2 == 1 and partition_of(id, 2) == 1:
            return id


async def killed_before_change(lab: Lab) -> None:
    """SIGKILL of stock while a reservation waits in the database, and of shipping while everything
    does, once an offset beyond the order is committed or after 6 s, longer than the usual commit
    timer. Exposes programs that let go of an order before they have dealt with it."""
    Payments(lab).attend()
    shipping = await lab.start("shipping", app="shipping")
    sent = await lab.send("orders", orders(lab.rng, 6), partition=lab.rng.choice(PARTITIONS))
    victim = sent[lab.rng.randrange(1, 4)]
    reserving = await lab.sink.hold("reservations", row={"order_id": victim.id})
    stock = await lab.start("stock", app="stock")
    await lab.until(held(reserving), within=15, why="stock to reserve the goods")
    await lab.reached(committed_past(victim, by=stock), within=COMMIT_TIMER_S)
    await stock.kill()
    await reserving.drop()
    await lab.start("stock", app="stock")
    await lab.reached(all_announced(sent, "OrderShipped"), within=USUALLY_S)
    stall = lab.gateway.hold_savings(shipping.name)
    (victim,) = await lab.send("orders", orders(lab.rng, 1))
    await lab.reached(committed_past(victim, by=shipping), within=COMMIT_TIMER_S)
    await shipping.kill()
    stall.drop()
    await lab.start("shipping", app="shipping")
    await lab.settle()
    await lab.aftershock()


async def killed_after_announcement(lab: Lab) -> None:
    """SIGKILL of each service when it has announced something and its offset is not committed.
    Exposes programs that announce the same again under a new event id."""
    payments = Payments(lab).attend()
    placed = orders(lab.rng, 8)
    payments.declined = {event.id for event in placed[::2]}
    for app, types in (
        ("stock", ("StockReserved",)),
        ("shipping", ENDS),
    ):
        commits = lab.commits(app, times=None).hold()
        instance = await lab.start(app, app=app)
        sent = await lab.send("orders", placed[:4] if app == "stock" else placed[4:])
        told = any_announced(sent, *types)
        # In a Kafka transaction nothing is told before the offset's turn comes.
        await lab.until(told | held(commits), within=15, why=f"{app} to announce something")
        await lab.reached(told & held(commits), within=1.0)
        await instance.kill()
        commits.drop()
        await lab.start(app, app=app)
        if app == "stock":
            await lab.reached(all_announced(sent, "StockReserved"), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def killed_before_announcement(lab: Lab) -> None:
    """SIGKILL of each service when its change is committed in the database and what it writes to
    Kafka does not get there; another instance takes its place. Exposes programs that take what is
    done for announced, or that leave it to the instance that did it."""
    Payments(lab).attend()
    for app, topic, table, call in (
        ("stock", "stock_events", "reservations", "OrderPlaced"),
        ("shipping", "shipments", "deliveries", "PaymentCaptured"),
    ):
        writes = lab.gateway.fault(
            "Produce", instance=app, topic=lab.topic(topic), times=None
        ).hold()
        instance = await lab.start(app, app=app)
        sent = await lab.send("orders", orders(lab.rng, 3))
        await lab.until(held(writes), within=15, why=f"{app} to announce something")
        done = effects_of(sent, at_least=1, place=table)
        await lab.reached(done, within=2.0)
        # Who commits its offset before the announcement is safe does so now, or by a timer.
        let_go = some([passed(lab, app, s.id, call) for s in sent])
        await lab.reached(let_go, within=TEMPTATION_S)
        await instance.kill()
        writes.drop()
        await lab.start(f"{app}-2", app=app)
    await lab.settle()
    await lab.aftershock()


async def killed_at_each_commit(lab: Lab) -> None:
    """SIGKILL of a service when the database has committed, before the program hears of it, and
    again at the next commit of its next life: stock with an order that is declined, shipping with
    one that is shipped. Exposes programs that write the change, and what is to be announced of it,
    in two transactions."""
    payments = Payments(lab).attend()
    stock, shipping = await open_shop(lab)
    for app, ends, is_declined in (
        (stock, "StockReleased", True),
        (shipping, "OrderShipped", False),
    ):
        event = order(lab.rng)
        if is_declined:
            payments.declined.add(event.id)
        commit = lab.database_commits(app).hold_response()
        await lab.send("orders", [event])
        await lab.kill_at_commits(app, commit, announced(event.id, ends))
        await lab.reached(announced(event.id, ends), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def announced_too_early(lab: Lab) -> None:
    """The database takes its time over a commit of each kind. Exposes programs that announce a
    change before it is committed."""
    payments = Payments(lab).attend()
    await open_shop(lab)
    paid, declined, *others = orders(lab.rng, 5)
    payments.declined = {declined.id}
    reserving = await lab.sink.hold("reservations", row={"order_id": paid.id}, at="commit")
    delivering = await lab.sink.hold("deliveries", row={"order_id": paid.id}, at="commit")
    releasing = await lab.sink.hold("releases", row={"order_id": declined.id}, at="commit")
    await lab.send("orders", [paid, *others])
    await slow_commit(lab, reserving, announced(paid.id, "StockReserved"))
    await slow_commit(lab, delivering, announced(paid.id, "OrderShipped"))
    await lab.send("orders", [declined])
    await slow_commit(lab, releasing, announced(declined.id, "StockReleased"))
    await lab.settle()
    await lab.aftershock()


async def slow_commit(lab: Lab, commit: SinkFault, told: Condition) -> None:
    """Let a commit take a moment longer than a program needs that announces its change before."""
    await lab.until(held(commit), within=15, why=f"the {commit.target}")
    await lab.reached(told, within=TEMPTATION_S)
    await commit.release()


async def database_refuses(lab: Lab) -> None:
    """The database refuses each kind of change, as it does when transactions collide, and one of
    them several times in a row. Exposes programs that log the error and go on, those that give up
    in the end, and those that have announced already what was refused."""
    payments = Payments(lab).attend()
    placed = orders(lab.rng, 8)
    payments.declined = {event.id for event in placed[4:]}
    refusals = [
        await lab.sink.fail("reservations", "40001", row={"order_id": placed[0].id}),
        await lab.sink.fail("reservations", "40001", row={"order_id": placed[1].id}, at="commit"),
        await lab.sink.fail("deliveries", "40001", row={"order_id": placed[2].id}),
        await lab.sink.fail("releases", "40001", row={"order_id": placed[5].id}, at="commit"),
    ]
    row = {"order_id": placed[3].id}
    often = await lab.sink.fail("deliveries", row=row, at="commit", times=REFUSALS)
    await open_shop(lab)
    await lab.send("orders", placed)
    await lab.reached(applied(often), within=USUALLY_S)
    await lab.outlast(often)
    await lab.reached(every([applied(refusal) for refusal in refusals]), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def own_tables_refuse(lab: Lab) -> None:
    """The database refuses the first change of a row in each table of the services' own, once they
    are at work. Exposes programs in which a thread or task that publishes ends, and nobody sees."""
    Payments(lab).attend()
    await open_shop(lab)
    first = await lab.send("orders", orders(lab.rng, 3))
    await lab.reached(all_announced(first, *ENDS), within=USUALLY_S)
    refusals = await lab.sink.fail_changes(OWN_TABLES)
    then = await lab.send("orders", orders(lab.rng, 4))
    await lab.reached(all_announced(then, *ENDS), within=USUALLY_S)
    for refusal in refusals:
        await refusal.cancel()
    await lab.settle()
    await lab.aftershock()


async def shipping_shared(lab: Lab) -> None:
    """Two instances of shipping hear of one paid order at once, one of the order itself and one of
    its reserved goods, and the database lets both wait. Exposes programs in which each looks for
    what the other has not committed yet, so that nobody ships."""
    payments = Payments(lab)
    await open_shop(lab)
    await lab.start("shipping-2", app="shipping")
    await lab.until_shared(3, why="two instances of shipping to share the topics")
    placed = order(lab.rng, id=id_of_partition_1(lab.rng))
    paid = await payments.charge_at_once([placed])
    await lab.reached(committed_past_all(paid), within=USUALLY_S)
    stalls = [lab.gateway.hold_savings(name) for name in ("shipping", "shipping-2")]
    await lab.send("orders", [placed], partition=0)
    await lab.reached(announced(placed.id, "StockReserved"), within=USUALLY_S)
    await lab.briefly(every([held(stall) for stall in stalls]), within=TEMPTATION_S)
    for stall in stalls:
        stall.release()
    await lab.reached(announced(placed.id, "OrderShipped"), within=USUALLY_S)
    payments.attend()
    await lab.settle()
    await lab.aftershock()


async def cancelled_as_it_ships(lab: Lab) -> None:
    """Two instances of shipping: while one sends an order's goods, and the database lets that wait,
    the other hears that the order is cancelled. Exposes programs that look how an order ended and
    decide, without a lock in between, so that it is shipped and fails."""
    payments = Payments(lab)
    await open_shop(lab)
    await lab.start("shipping-2", app="shipping")
    await lab.until_shared(3, why="two instances of shipping to share the topics")
    placed = order(lab.rng, id=id_of_partition_1(lab.rng))
    delivering = await lab.sink.hold("deliveries", row={"order_id": placed.id})
    await lab.send("orders", [placed], partition=0)
    reserved = announced(placed.id, "StockReserved")
    await lab.until(reserved, within=15, why="the goods to be reserved")
    await payments.charge_at_once([placed])
    await lab.until(held(delivering), within=15, why="shipping to send the goods")
    await lab.send("orders", [cancellation(lab.rng, placed)], partition=0)
    failed = announced(placed.id, "OrderFailed")
    await lab.reached(waited_for(delivering) | failed, within=TEMPTATION_S)
    await delivering.release()
    await lab.reached(announced(placed.id, "OrderShipped"), within=USUALLY_S)
    payments.attend()
    await lab.settle()
    await lab.aftershock()


async def late_service(lab: Lab) -> None:
    """Shipping is started when orders are placed, reserved and paid, and one is cancelled. Exposes
    programs that begin at the end of a topic."""
    Payments(lab).attend()
    stock = await lab.start("stock", app="stock")
    lanes = 2 * len(PARTITIONS)
    await lab.until(owns(stock, lanes), within=15, why="stock to take up its partitions")
    placed = orders(lab.rng, 6)
    sent = await lab.send("orders", placed)
    await lab.reached(all_announced(sent, "StockReserved"), within=USUALLY_S)
    await lab.send("orders", [cancellation(lab.rng, placed[0])])
    await lab.start("shipping", app="shipping")
    # Who begins at the end must be there for the next, or it would only seem to be stuck.
    await lab.reached(group_stable(2), within=USUALLY_S)
    for number in (4, 8):
        more = await lab.send("orders", orders(lab.rng, number))
        ended = all_announced(more, *ENDS)
        await lab.reached(ended, within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def zombie(lab: Lab) -> None:
    """An instance of stock is frozen while it reserves, the group gives its partitions to another,
    then it goes on. Exposes programs that look first and reserve later."""
    Payments(lab).attend()
    await lab.start("shipping", app="shipping")
    sent = await lab.send("orders", orders(lab.rng, 6), partition=0)
    victim = sent[lab.rng.randrange(1, 4)]
    reserving = await lab.sink.hold("reservations", row={"order_id": victim.id})
    first = await lab.start("stock", app="stock")
    await lab.until(held(reserving), within=15, why="the first instance to reserve the goods")
    second = await lab.replace(first, "stock-2", 2 * len(PARTITIONS), reserving)
    await lab.reached(effect_of(victim, by=second) | waited_for(reserving), within=USUALLY_S)
    await first.thaw()
    await reserving.release()
    await lab.settle()
    await lab.aftershock()


async def frozen_in_the_end(lab: Lab) -> None:
    """An instance of each service is frozen, stock while it releases and shipping while it ships;
    others get their partitions, then both go on. Exposes programs that look first whether it is
    done, and release or ship later."""
    payments = Payments(lab)
    services = await open_shop(lab)
    failing, good = orders(lab.rng, 2)
    payments.declined = {failing.id}
    releasing = await lab.sink.hold("releases", row={"order_id": failing.id})
    delivering = await lab.sink.hold("deliveries", row={"order_id": good.id})
    sent = await lab.send("orders", [failing, good])
    await lab.until(all_announced(sent, "StockReserved"), within=15, why="both to be reserved")
    await payments.charge_at_once([failing])
    await lab.until(held(releasing), within=15, why="stock to put the goods back")
    await payments.charge_at_once([good])
    await lab.until(held(delivering), within=15, why="shipping to send the goods")
    stock, shipping = await replaced(lab, services, (releasing, delivering))
    released = effect_of(sent[0], by=stock, place="releases") | waited_for(releasing)
    delivered = effect_of(sent[1], by=shipping, place="deliveries") | waited_for(delivering)
    await lab.reached(released & delivered, within=USUALLY_S)
    for service, change in zip(services, (releasing, delivering), strict=True):
        await service.thaw()
        await change.release()
    payments.attend()
    await lab.settle()
    await lab.aftershock()


async def replaced(
    lab: Lab, services: Sequence[Instance], holds: Sequence[SinkFault]
) -> list[Instance]:
    """Freeze stock and shipping, each at its hold, and have another instance of each take over."""
    others = []
    for frozen, app in zip(services, ("stock", "shipping"), strict=True):
        await frozen.freeze()
        others.append(await lab.start(f"{app}-2", app=app))
        await frozen.evict()
    for other, topics in zip(others, (2, 3), strict=True):
        await lab.until_replaced(other, topics * len(PARTITIONS), *holds)
    return others


async def last_pieces(lab: Lab) -> None:
    """Two instances of stock take the same product at once: first there is enough for one order,
    then just enough for both; then one puts goods back while the other takes; at last one commits
    behind the other what it began before. Exposes programs that read what is available and write
    back what they made of it, those that take a product for sold out while another has it locked,
    and outboxes that are read by a cursor."""
    payments = Payments(lab).attend()
    await open_shop(lab)
    await lab.start("stock-2", app="stock")
    await lab.until_shared(3, why="two instances of stock to share the topics")
    rivals = [order(lab.rng, PRODUCTS[-2], 600, expect={}) for _ in PARTITIONS]
    await at_once(lab, rivals)
    just_enough = [order(lab.rng, PRODUCTS[-1], quantity) for quantity in (600, AVAILABLE - 600)]
    await at_once(lab, just_enough)
    await put_back_meanwhile(lab, payments)
    await commit_behind(lab)
    await lab.settle()
    await lab.aftershock()


async def at_once(lab: Lab, events: Sequence[Event]) -> None:
    """Have an order of each partition take the same goods: the first has to wait with them in hand
    until the second comes."""
    taking = await lab.sink.hold("stock", row={"product": events[0].value["product"]})
    sent = []
    for partition, event in zip(PARTITIONS, events, strict=True):
        sent += await lab.send("orders", [event], partition)
    await lab.until(held(taking), within=15, why="one instance to take goods")
    # Who does not wait for the other decides at once.
    decided = any_announced(sent, "StockReserved", "StockRejected")
    await lab.reached(waited_for(taking) | decided, within=USUALLY_S)
    await taking.release()
    await lab.reached(all_announced(sent, *ENDS), within=USUALLY_S)


async def commit_behind(lab: Lab) -> None:
    """Let a reservation wait for its commit until another, begun later, is announced, and be
    committed before the program knows that it is."""
    first, then = (order(lab.rng, product, 2) for product in PRODUCTS[-5:-3])
    commit = await lab.sink.hold("reservations", row={"order_id": first.id}, at="commit")
    (placed,) = await lab.send("orders", [first], partition=0)
    await lab.until(held(commit), within=15, why="an order to be reserved")
    telling = lab.gateway.fault("Produce", topic=lab.topic("stock_events")).hold_response()
    await lab.send("orders", [then], partition=1)
    await lab.reached(held(telling), within=USUALLY_S)
    await commit.release()
    await lab.reached(effect_of(placed), within=USUALLY_S)
    telling.release()
    await lab.reached(announced(first.id, "StockReserved"), within=USUALLY_S)


async def put_back_meanwhile(lab: Lab, payments: Payments) -> None:
    """An order is cancelled when it is reserved, and its goods are put back while the other
    instance takes some of the same product."""
    product = PRODUCTS[-3]
    cancelled = order(lab.rng, product, 300, id=id_of_partition_1(lab.rng))
    payments.charged.add(cancelled.id)  # not before it is cancelled, and then never
    (placed,) = await lab.send("orders", [cancelled], partition=1)
    await lab.reached(announced(placed.id, "StockReserved"), within=USUALLY_S)
    taking = await lab.sink.hold("stock", row={"product": product})
    await lab.send("orders", [order(lab.rng, product, 200)], partition=0)
    await lab.until(held(taking), within=15, why="one instance to take goods")
    await lab.send("orders", [cancellation(lab.rng, cancelled)], partition=1)
    released = announced(placed.id, "StockReleased")
    await lab.reached(waited_for(taking) | released, within=USUALLY_S)
    await taking.release()
    await lab.reached(released, within=USUALLY_S)
