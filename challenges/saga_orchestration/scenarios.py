"""What happens to the program, and which mistake each story exposes."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from challenges.saga_orchestration.services import Gate, Services
from graders.conditions import (
    Condition,
    committed_past,
    effect_of,
    effects_of,
    every,
    held,
    owners,
    owns,
)
from graders.facts import Effect, Fetched, Output, Sent
from graders.history import History
from graders.kafka import partition_of
from graders.lab import Lab
from graders.participants import DONE, IGNORED, REFUSED, commanded, is_command, performed
from graders.spec import Event
from graders.trouble import NotExercised
from sandbox.gateway.faults import Fault

PARTITIONS = (0, 1, 2)
# How long to wait for what nearly every program does within its 4 s. One that does not is judged by
# what it has done and by what is missing at the end, so the story goes on without.
USUALLY_S = 8.0
COMMIT_TIMER_S = 6.0  # longer than the usual one
ASKS = 4  # more often than a program asks before it cancels
IN_TIME_S = 1.3  # a reply is overdue after 2 s
BUSY_TIMES = 6  # more often than a program asks that gives up some day
HUGE = 3_000_000_001  # more than four bytes hold, as an integer or a float
# Where each command goes, in the order of a completed and of a cancelled order.
FORWARD = {
    "reserve": "stock-commands",
    "charge": "payment-commands",
    "ship": "shipping-commands",
    "deduct": "stock-commands",
    "outcome": "order-outcomes",
}
BACKWARD = {
    "refund": "payment-commands",
    "release": "stock-commands",
    "outcome": "order-outcomes",
}


def expected(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every order has an outcome; which one, the checks of family SAG say."""
    return {"order-outcomes": {}}


def fold(values: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The program's tables are its own."""
    return {}


def order(
    rng: random.Random,
    customer: str | None = None,
    sku: str | None = None,
    amount: int | None = None,
) -> Event:
    """An order with an id of its own; what is not given is drawn."""
    id = f"ord-{rng.getrandbits(48):012x}"
    value = {
        "id": id,
        "customer": customer or f"cus-{rng.randrange(6)}",
        "sku": sku or f"sku-{rng.randrange(4)}",
        "quantity": rng.randrange(1, 5),
        "amount": amount or rng.randrange(500, 50_000),
    }
    return Event(id, id, value)


def orders(rng: random.Random, number: int) -> list[Event]:
    return [order(rng) for _ in range(number)]


sentinel = order


async def steady_run(lab: Lab) -> None:
    """No fault at all. Exposes programs that miss what was sent before they started, that skip or
    swap steps, that tell of an outcome twice, or that begin anew what is over after a restart."""
    Services(lab)
    early = [s for p in PARTITIONS for s in await lab.send("orders", orders(lab.rng, 2), p)]
    await lab.start("app")
    await lab.reached(effects_of(early), within=USUALLY_S)
    await lab.send("orders", orders(lab.rng, 6))
    await lab.settle()
    await lab.aftershock()


async def refusal_at_each_step(lab: Lab) -> None:
    """One order is refused by the stock, one by the payment provider, one by the forwarder. Exposes
    programs that do not undo every step, undo what was never begun, or undo in the wrong order."""
    services = Services(lab)
    events = orders(lab.rng, 5)
    for event, action in zip(events, ("reserve", "charge", "ship"), strict=False):
        services.script(event.id, action, refuses=True)
    await lab.start("app")
    await lab.send("orders", events)
    await lab.settle()
    await lab.aftershock()


async def lost_replies(lab: Lab) -> None:
    """The first reply to a command is lost, at each step forward and back. Exposes programs that
    wait for ever, that ask again with a new id, or that take silence for an answer."""
    services = Services(lab)
    events = orders(lab.rng, 6)
    for event, action in zip(
        events, ("reserve", "charge", "ship", "deduct", "refund", "release"), strict=True
    ):
        services.script(event.id, action, lost=1)
    services.script(events[4].id, "ship", refuses=True)
    services.script(events[5].id, "charge", refuses=True)
    await lab.start("app")
    await lab.send("orders", events)
    await lab.settle()
    await lab.aftershock()


async def late_success(lab: Lab) -> None:
    """A step is done, or its reply comes, only after the program gave up waiting for it: asked
    again, undid something, or told of an outcome. Refunds are silent until asked for again.
    Exposes programs that take a timeout for a failure, or "unavailable" for the answer to what
    they asked before; that act on the late reply, or take it for the undo's; that do not wait for
    one undo before they ask for the next; or that wait less than they must."""
    services = Services(lab)
    sent = await lab.send("orders", orders(lab.rng, 8))
    reserved, charged, shipped, replied, over, refused, *busy = sent
    for order, action, undo, asks in (
        (reserved, "reserve", "release", ASKS),
        (charged, "charge", "refund", ASKS),
        (shipped, "ship", "refund", 2),
    ):
        services.script(order.id, action, does_when=has_given_up(order, action, undo, asks))
    services.script(replied.id, "charge", answers_when=has_given_up(replied, "charge", "refund"))
    services.script(over.id, "charge", answers_when=effect_of(over))
    gives_up = has_given_up(refused, "charge", "refund", ASKS)
    services.script(refused.id, "charge", refuses=True, does_when=gives_up)
    for order in (charged, refused):
        services.script(order.id, "refund", does_when=refund_was_awaited_or_not(order))
    for order, action, undo in zip(busy, ("reserve", "charge"), ("release", "refund"), strict=True):
        again = commanded(order.id, action, times=3)
        given_up = commanded(order.id, undo, "release") | again | effect_of(order)
        services.script(order.id, action, busy=True, does_when=given_up)
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


def has_given_up(sent: Sent, action: str, undo: str, asks: int = 2) -> Condition:
    """The program did not wait any longer for the reply to a command: it asked so often, undid
    something, or told of an outcome."""
    again = commanded(sent.id, action, times=asks)
    return again | commanded(sent.id, undo, "release") | effect_of(sent)


def refund_was_awaited_or_not(sent: Sent) -> Condition:
    """The refund was asked for again, or the goods were released without it."""
    released = performed(sent.id, "release") | performed(sent.id, "release", IGNORED)
    return commanded(sent.id, "refund", times=2) | released


async def duplicate_replies(lab: Lab) -> None:
    """Each reply comes three times, and all of them once more when the orders are over. Exposes
    programs that act on every copy: a second undo, a second outcome, a step out of its turn."""
    services = Services(lab)
    events = orders(lab.rng, 6)
    for event in events:
        for action in (*FORWARD, *BACKWARD):
            services.script(event.id, action, copies=3)
    services.script(events[0].id, "charge", copies=3, refuses=True)
    services.script(events[1].id, "ship", copies=3, refuses=True)
    await lab.start("app")
    await lab.send("orders", events)
    await lab.settle()
    for event in events:
        await services.repeat_replies(event.id)
    await lab.settle()
    await lab.aftershock()


async def duplicate_orders(lab: Lab) -> None:
    """The same order comes on every partition, and again when it is over; one is of a huge amount.
    Exposes programs that begin a second saga for it, or tell of its outcome again, and whose
    amounts have four bytes."""
    services = Services(lab)
    events = [*orders(lab.rng, 4), order(lab.rng, amount=HUGE)]
    services.script(events[0].id, "ship", refuses=True)
    for partition in PARTITIONS:
        await lab.send("orders", events, partition)
    await lab.start("app")
    await lab.settle()
    for partition in PARTITIONS:
        await lab.send("orders", events, partition)
    await lab.settle()
    await lab.aftershock()


async def foreign_replies(lab: Lab) -> None:
    """While a step is under way, a reply to another department's command about the same order
    comes. Exposes programs that know their replies by the order, or by order and action."""
    services = Services(lab)
    events = orders(lab.rng, 3)
    ahead, back, undoing = (event.id for event in events)
    gate = Gate(lab, "the foreign replies to be dealt with")
    services.script(ahead, "reserve", does_when=gate.opened)
    services.script(back, "charge", does_when=gate.opened)
    services.script(undoing, "ship", refuses=True)
    services.script(undoing, "refund", does_when=gate.opened)
    await lab.start("app")
    await lab.send("orders", events)
    waiting = commanded(ahead, "reserve") & commanded(back, "charge")
    await lab.until(waiting & commanded(undoing, "refund"), why="each order to be under way")
    done = await services.reply_to_other(ahead, "stock", "reserve", DONE)
    refused = await services.reply_to_other(back, "payment", "charge", REFUSED)
    await services.reply_to_other(undoing, "payment", "refund", DONE)
    await services.reply_to_other(order(lab.rng).id, "payment", "charge", DONE)
    wrong = commanded(ahead, "charge") & commanded(back, "release")
    await lab.reached(wrong & commanded(undoing, "release"), within=1.5)
    gate.open()
    await lab.settle()
    await lab.aftershock()
    # On a slow machine a program may give up the step first, as it must: then nothing was tried.
    tried = [(ahead, "release", done), (back, "refund", refused)]
    if any(is_undone_before(lab.history, *each) for each in tried):
        raise NotExercised("a step was given up before the foreign reply to it was handed out")


def is_undone_before(history: History, order: str, undo: str, reply: Sent) -> bool:
    """Whether the program has commanded an order's undo before this reply was handed to it."""
    at = (reply.topic, reply.partition, reply.offset or 0)
    fetches = [fetch.n for fetch in history.of(Fetched) if fetch.hands_out(*at)]
    undoes = [o.n for o in history.of(Output) if is_command(o, order, (undo,))]
    return bool(undoes) and (not fetches or undoes[0] < fetches[0])


async def unavailable(lab: Lab) -> None:
    """From the pivot on, and when undoing, steps are unavailable six times. When all is over, an
    order that ended long before is sent again. Exposes programs that take "unavailable" for a
    refusal, call an order cancelled when they have merely asked for its undo, undo all steps at
    once, ask only so often, or forget an order some time after its end."""
    services = Services(lab)
    shipped, deducted, refunded, released, quick = events = orders(lab.rng, 5)
    busy = {"ship": shipped, "deduct": deducted, "refund": refunded, "release": released}
    for action, event in busy.items():
        services.script(event.id, action, unavailable=BUSY_TIMES)
    # Whoever asks for the release along with the refund has it at once.
    services.script(refunded.id, "ship", refuses=True)
    services.script(released.id, "charge", refuses=True)
    await lab.start("app")
    over = effects_of(await lab.send("orders", events))
    for times in range(1, BUSY_TIMES + 2):
        asked = [commanded(event.id, action, times=times) for action, event in busy.items()]
        if not await lab.reached(every(asked) | over, within=USUALLY_S):
            break
    await lab.settle()
    if over.holds(lab.history):
        await lab.send("orders", [quick])
        await lab.settle()
    await lab.aftershock()
    # On a slow machine a program may give up earlier steps, as it must, and never meet these.
    met = every([commanded(event.id, action) for action, event in busy.items()])
    if over.holds(lab.history) and not met.holds(lab.history):
        raise NotExercised("an order ended before its step that was to be unavailable")


async def silent_services(lab: Lab) -> None:
    """Payment provider and forwarder are silent until asked again, then the stock, after the pivot,
    which also loses four replies to one order. Exposes programs that undo while nobody knows
    whether the parcel left or once it has left, that call an order completed before its last step,
    or that give up asking."""
    services = Services(lab)
    pivot, charge, late = orders(lab.rng, 3)
    shipped = Gate(lab, "the stock to be silent")
    services.script(late.id, "ship", answers_when=shipped.opened)
    services.script(charge.id, "deduct", lost=4)
    services.shipping.silence()
    await lab.start("app")
    sent = await lab.send("orders", [pivot])
    await lab.until(commanded(pivot.id, "ship"), why="the first order to be about to be shipped")
    services.payment.silence()
    sent += await lab.send("orders", [charge])
    both = has_given_up(sent[0], "ship", "refund") & has_given_up(sent[1], "charge", "refund")
    await lab.reached(both, within=USUALLY_S)
    await services.payment.heal()
    await services.shipping.heal()
    sent += await lab.send("orders", [late])
    await lab.until(performed(late.id, "ship"), why="the last order to be shipped")
    services.stock.silence()
    shipped.open()
    await lab.reached(has_given_up(sent[2], "deduct", "refund"), within=USUALLY_S)
    await services.stock.heal()
    await lab.settle()
    await lab.aftershock()


async def many_orders_of_one_customer(lab: Lab) -> None:
    """24 orders of one customer, half of them for an article of which too little is there; some are
    refused later and give back what they held. For two more, each reply takes its time, and none is
    overdue. Exposes programs that mix up orders, keep one at a time in mind, know a saga by its
    customer, or measure patience from an order's beginning."""
    services = Services(lab)
    services.books.free["sku-rare"] = 12
    events = [order(lab.rng, "cus-7", lab.rng.choice(["sku-rare", None])) for _ in range(24)]
    for event in lab.rng.sample(events, 6):
        services.script(event.id, lab.rng.choice(["charge", "ship"]), refuses=True)
    slow = orders(lab.rng, 2)
    for event, action in product(slow, ("reserve", "charge", "ship")):
        takes_its_time(lab, services, event, action)
    await lab.start("app")
    await lab.send("orders", [*slow, *events[:12]])
    await lab.send("orders", events[12:])
    await lab.settle()
    await lab.aftershock()


def takes_its_time(lab: Lab, services: Services, event: Event, action: str) -> None:
    """Have a service reply to a command late, and not too late."""
    gate = Gate(lab, f"{action} to take its time")
    services.script(event.id, action, answers_when=gate.opened)
    is_over = Condition(
        f"the outcome of {event.id}", lambda h: any(e.id == event.id for e in h.of(Effect))
    )

    async def open_later() -> None:
        await lab.reached(performed(event.id, action) | is_over, within=4 * USUALLY_S)
        await asyncio.sleep(IN_TIME_S)
        gate.open()

    lab.promise(open_later())


@dataclass(frozen=True)
class Boundary:
    """A place between two steps: `before` the broker has the record that asks for an action (or
    tells of the outcome), or after that, when the program has not yet heard so."""

    action: str
    before: bool


async def crash_at_boundaries(lab: Lab) -> None:
    """SIGKILL between two steps, for six orders one after another: twice when a command is about to
    be written, twice when it is written and not yet acknowledged, and at the outcome both ways.
    Exposes state that is kept in memory, saved after the command, or saved before a command or an
    outcome that is then forgotten."""
    services = Services(lab)
    steps = list(FORWARD)[:-1]
    places = [Boundary(action, before=True) for action in lab.rng.sample(steps, 2)]
    places += [Boundary(action, before=False) for action in lab.rng.sample(steps, 2)]
    places += [Boundary("outcome", before) for before in (True, False)]
    lab.rng.shuffle(places)
    await lab.start("app")
    for place in places:
        if not await crash_at(lab, services, order(lab.rng), place, FORWARD):
            break
    await lab.settle()
    await lab.aftershock()


async def crash_while_cancelling(lab: Lab) -> None:
    """SIGKILL at the refund, at the release, and at the outcome of an order that the forwarder
    refused. Exposes programs that undo twice, or that never finish undoing."""
    services = Services(lab)
    await lab.start("app")
    for action in lab.rng.sample(list(BACKWARD), 3):
        event = order(lab.rng)
        services.script(event.id, "ship", refuses=True)
        place = Boundary(action, before=lab.rng.random() < 0.5)
        if not await crash_at(lab, services, event, place, BACKWARD):
            break
    await lab.settle()
    await lab.aftershock()


async def killed_before_it_is_saved(lab: Lab) -> None:
    """SIGKILL while the database lets everything wait, once the offset of a new order is committed
    or after 6 s, longer than the usual commit timer; then once more, when it has saved what came
    before the order. Exposes programs that let go of an order before they have saved it, if only
    along with another one."""
    Services(lab)
    app = await lab.start("app")
    for nth in (1, 2):
        partition = lab.rng.choice(PARTITIONS)
        (sent,) = await lab.send("orders", orders(lab.rng, 1), partition)
        await lab.reached(effect_of(sent), within=USUALLY_S)
        fetches = lab.gateway.fault("Fetch", instance=app.name, times=None).hold()
        await lab.reached(held(fetches), within=USUALLY_S)
        *_, sent = await lab.send("orders", orders(lab.rng, nth), partition)
        stall = lab.gateway.hold_savings(app.name, nth)
        fetches.release()
        await lab.reached(committed_past(sent), within=COMMIT_TIMER_S)
        await app.kill()
        stall.drop()
        await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def killed_at_each_commit(lab: Lab) -> None:
    """SIGKILL when the database has committed, before the program hears of it, and again at the
    next commit of its next life: from the order on, from the reply to the last step on, and from a
    refusal on. Exposes programs that write the state, and what is to be sent because of it, in two
    transactions."""
    services = Services(lab)
    app = await lab.start("app")
    for action, refuses in (("", False), ("deduct", False), ("ship", True)):
        event, gate = order(lab.rng), Gate(lab, "the fault to be armed")
        if action:
            services.script(event.id, action, refuses=refuses, answers_when=gate.opened)
            (sent,) = await lab.send("orders", [event])
            done = performed(event.id, action, REFUSED if refuses else DONE)
            await lab.reached(done, within=USUALLY_S)
        commit = lab.database_commits(app).hold_response()
        if not action:
            (sent,) = await lab.send("orders", [event])
        gate.open()
        await lab.kill_at_commits(app, commit, effect_of(sent))
        if not await lab.reached(effect_of(sent), within=USUALLY_S):
            break
    await lab.settle()
    await lab.aftershock()


async def crash_at(
    lab: Lab, services: Services, event: Event, place: Boundary, way: Mapping[str, str]
) -> bool:
    """Kill the program at a boundary of this order and start it again; whether the order had an
    outcome then, within the time that nearly every program needs."""
    app = lab.instances["app"]
    sent, write = await hold_write(lab, services, event, place, way)
    if not place.before:
        # What was written in a transaction shows only when that has ended.
        await lab.reached(is_written(sent, place.action), within=1.0)
    lab.tell(f"{app.name} is killed at {place.action} of {sent.id}.")
    await app.kill()
    write.drop()
    await lab.start("app")
    return await lab.reached(effect_of(sent), within=USUALLY_S)


async def hold_write(
    lab: Lab, services: Services, event: Event, place: Boundary, way: Mapping[str, str]
) -> tuple[Sent, Fault]:
    """Send an order and hold its write at a boundary, or the answer to it. The reply to the action
    before waits until the fault is armed, so that the next write to that topic is the one."""
    previous = action_before(place.action, way)
    if not previous:
        write = arm(lab, place, way)
        (sent,) = await lab.send("orders", [event])
    else:
        gate, refuses = Gate(lab, "the fault to be armed"), services.refuses(event.id, previous)
        services.script(event.id, previous, refuses=refuses, answers_when=gate.opened)
        (sent,) = await lab.send("orders", [event])
        await lab.until(performed(event.id, previous, REFUSED if refuses else DONE))
        write = arm(lab, place, way)
        gate.open()
    await lab.until(held(write), why=f"{place.action} of {sent.id} to be written")
    return sent, write


def arm(lab: Lab, place: Boundary, way: Mapping[str, str]) -> Fault:
    """A fault on the next write to the topic of an action, or on the answer to it."""
    write = lab.gateway.fault("Produce", topic=lab.topic(way[place.action]))
    return write.hold() if place.before else write.hold_response()


def action_before(action: str, way: Mapping[str, str]) -> str:
    """The action whose reply leads to this one; "" when the order itself does."""
    actions = list(way)
    place = actions.index(action)
    if place:
        return actions[place - 1]
    return "" if way is FORWARD else "ship"


def is_written(sent: Sent, action: str) -> Condition:
    """The record that asks for an action, or tells of the outcome, is in its topic."""
    return effect_of(sent) if action == "outcome" else commanded(sent.id, action)


async def zombie(lab: Lab) -> None:
    """An instance is frozen as it writes a command, another takes over and brings the order to its
    end, then the first one goes on and its command comes after all. Exposes programs whose second
    instance begins anew, or that cancel without barring the step which may still be done."""
    services = Services(lab)
    place = Boundary(lab.rng.choice(["charge", "ship"]), before=True)
    first = await lab.start("first")
    sent, write = await hold_write(lab, services, order(lab.rng), place, FORWARD)
    await first.freeze()
    second = await lab.start("second")
    await first.evict()
    await lab.until(owns(second, 2 * len(PARTITIONS)), why="the second instance to take over")
    await lab.reached(effect_of(sent), within=USUALLY_S)
    await first.thaw()
    write.release()
    await lab.settle()
    await lab.aftershock()


async def two_instances(lab: Lab) -> None:
    """Two instances share the orders; one is killed while it waits for replies, which the other
    then reads, but for one that is lost; when all is over, the orders come again. Exposes instances
    that each tell what they find to be told, sagas that live in one instance's memory, patience
    that only the instance has which began the order, and programs that know no orders again but
    those that they began or loaded."""
    services = Services(lab)
    events = orders(lab.rng, 12)
    gate = Gate(lab, "an instance to be killed")
    for event in events[:6]:
        lost = int(event is events[0])
        services.script(event.id, "charge", answers_when=gate.opened, lost=lost)
    await lab.start("first")
    await lab.start("second")
    await lab.until_shared(2, why="two instances to share the partitions")
    sent = await lab.send("orders", orders(lab.rng, 30))
    await lab.reached(effects_of(sent), within=2 * USUALLY_S)
    sent = await lab.send("orders", events)
    await lab.until(performed(events[0].id, "charge"), why="an order to wait for its charge")
    charges = [o for o in lab.history.of(Output) if is_command(o, events[0].id, ("charge",))]
    await lab.instances[charges[0].instance or "first"].kill()
    gate.open()
    await lab.reached(effects_of(sent), within=USUALLY_S)
    for partition in PARTITIONS:
        await lab.send("orders", events, partition)
    await lab.settle()
    await lab.aftershock()


async def overdue_and_answered(lab: Lab) -> None:
    """While one instance acts on an overdue reply, the reply comes to the other. Exposes programs
    that decide by what they read a moment ago, with nothing to stop the other from deciding too."""
    services = Services(lab)
    await lab.start("first")
    await lab.start("second")
    await lab.until_shared(2, why="two instances to share the partitions")
    for event in orders(lab.rng, 2):
        gate = Gate(lab, "an instance to act on the overdue reply")
        services.script(event.id, "reserve", answers_when=gate.opened)
        (sent,) = await lab.send("orders", [event], partition_of_other(lab, event.id))
        await lab.until(performed(event.id, "reserve"), why="the first step of an order")
        write = lab.gateway.fault("Produce", topic=lab.topic("stock-commands")).hold()
        await lab.until(held(write), why="an instance to ask again, or to cancel")
        gate.open()
        await lab.reached(commanded(event.id, "charge"), within=USUALLY_S / 4)
        write.release()
        await lab.reached(effect_of(sent), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


def partition_of_other(lab: Lab, key: str) -> int:
    """A partition of orders that another instance owns than the one that reads the replies with
    this key."""
    owned = owners(lab.history)
    reader = owned[lab.topic("replies"), partition_of(key, len(PARTITIONS))]
    others = [p for p in PARTITIONS if owned[lab.topic("orders"), p] != reader]
    if not others:
        raise NotExercised("one instance owns all partitions of orders")
    return others[0]
