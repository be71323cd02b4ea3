"""What happens to the program, and which mistake each story exposes."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graders.checks.dlq import origin_of
from graders.conditions import (
    applied,
    called_about,
    committed_past,
    effect_of,
    effects_of,
    every,
    held,
)
from graders.facts import Sent, as_text
from graders.lab import REFUSALS, Lab
from graders.spec import Answer, Event, Headers, OutputRecord, Raw
from graders.trouble import NotExercised
from sandbox.gateway import HttpRequest, HttpResponse
from sandbox.gateway.outside import idempotency_key

PARTITIONS = (0, 1, 2)
ITEMS = ("lamp", "chair", "kettle", "rug", "vase", "clock")
NO_LONGER_MADE = ("gramophone", "telex")
DEAD: Mapping[str, Mapping[str, Any]] = {"dlq": {}}
ATTEMPTS = 4
# Longer than the usual commit timer of 5 s.
COMMIT_S = 6.0
MUTE_S = 16.0  # four attempts of 3 s, and their pauses


def expected(value: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """An order is shipped as it was placed; one for an item that is no longer made is a dead
    letter."""
    if value["item"] in NO_LONGER_MADE:
        return DEAD
    return {"shipping": {name: value[name] for name in ("customer", "item", "quantity")}}


def fold(values: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """There is no state to compare."""
    return {}


def identify(record: OutputRecord, sent: Sequence[Sent]) -> str | None:
    """A dead letter is the record whose bytes it has; else the one that it names as its origin."""
    value = as_text(record.value)
    same = [s.id for s in sent if s.raw and s.payload == value] or [
        s.id for s in sent if not s.raw and s.value == record.json
    ]
    origin = origin_of(record.headers)
    named = [s.id for s in sent if origin == (s.topic, s.partition, s.offset)]
    return next((id for id in named if id in same or not same), next(iter(same), None))


def serve(lab: Lab) -> Mapping[str, Answer]:
    """The shipping service."""
    return {"shipping": Shipping(lab).answer}


class Shipping:
    """Ships what it is asked to, once for each Idempotency-Key."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.accepted: dict[str, Any] = {}

    async def answer(self, instance: str, request: HttpRequest) -> HttpResponse:
        """Answer one request, whatever it is."""
        if (request.method, request.path) != ("POST", "/shipments"):
            return HttpResponse(404, {"error": "ask for POST /shipments"})
        key = idempotency_key(request)
        if not key:
            return HttpResponse(400, {"error": "the Idempotency-Key is missing"})
        if key in self.accepted:
            return self._again(key, request)
        if reason := refusal(request):
            return HttpResponse(422, {"error": reason})
        self.accepted[key] = request.body
        content = {name: request.field(name) for name in ("customer", "item", "quantity")}
        self.lab.note_effect("shipping", request.field("order"), content, instance)
        return HttpResponse(201, {"shipment": len(self.accepted)})

    def _again(self, key: str, request: HttpRequest) -> HttpResponse:
        if self.accepted[key] == request.body:
            return HttpResponse(200, {"shipment": "known"})
        return HttpResponse(422, {"error": "the Idempotency-Key stands for another request"})


def refusal(request: HttpRequest) -> str:
    """Why the service will never ship this; empty when it does."""
    # It takes any customer, true for 1 and 2.5 of something, as many do, so that who asks it to
    # ship such a thing is found out.
    for name in ("order", "item"):
        if not isinstance(request.field(name), str) or not request.field(name):
            return f"{name} is no text"
    quantity = request.field("quantity")
    if not isinstance(quantity, int | float) or not 1 <= quantity <= 1000:
        return "the quantity is out of range"
    item = request.field("item")
    return f"{item}: no longer made" if item in NO_LONGER_MADE else ""


def order(rng: random.Random, customer: str | None = None, **changes: Any) -> Event:
    """An order with an id of its own, of a drawn customer unless one is given."""
    id = order_id(rng)
    customer = customer or f"c-{rng.getrandbits(32):08x}"
    value = {"id": id, "customer": customer, "item": rng.choice(ITEMS)}
    return Event(id, customer, {**value, "quantity": rng.randrange(1, 9), **changes})


def orders(rng: random.Random, number: int, partition: int = 0) -> list[Event]:
    """Orders of six customers of this partition."""
    return [order(rng, f"c-{partition}-{rng.randrange(6)}") for _ in range(number)]


def refused(rng: random.Random, customer: str) -> Event:
    """An order that the service refuses for good."""
    return order(rng, customer, item=rng.choice(NO_LONGER_MADE))


sentinel = order


def by_hand(event: Event) -> Event:
    """The same order from another hand: other spacing, the fields in another order, and one that
    nobody asked for. Whoever decodes this and encodes it again gets other bytes."""
    fields = [f'"{name}" : {json.dumps(event.value[name])}' for name in reversed([*event.value])]
    note = '"note":{"caf\\u00e9": "\\/", "price": 2.50}'
    return replace(event, raw=Raw(f" {{{note},\n{', '.join(fields)} }}\n".encode()))


def broken(customer: str | None, id: str, data: bytes, headers: Headers = ()) -> Event:
    """A record with these bytes, which are no order; `id` is the one that they give, if any."""
    return Event(id, customer, {"id": id}, Raw(data), headers, expect=DEAD)


def withdrawn(rng: random.Random, customer: str) -> Event:
    """A tombstone."""
    id = f"nil-{rng.getrandbits(48):012x}"
    return Event(id, customer, {"id": id}, Raw(None), expect={})


def order_id(rng: random.Random) -> str:
    return f"ord-{rng.getrandbits(48):012x}"


def no_orders(rng: random.Random) -> list[tuple[str, bytes]]:
    """One value of each kind of poison, each with an id of its own, in a drawn order."""
    nobody = '{{"id": "{id}", "item": "lamp", "quantity": 2'
    start = '{{"id": "{id}", "customer": "c-7"'
    texts = [
        start,
        "order {id}: one lamp, please",
        '["{id}"]',
        '"{id}"',
        start + ', "quantity": 1}}',
        start + ', "item": "lamp", "quantity": "2"}}',
        start + ', "item": "lamp", "quantity": 0}}',
        start + ', "item": "lamp", "quantity": 1001}}',
        start + ', "item": "lamp", "quantity": true}}',
        start + ', "item": "lamp", "quantity": 2.5}}',
        nobody + "}}",
        nobody + ', "customer": 7}}',
        nobody + ', "customer": ""}}',
        start + ', "item": "", "quantity": 2}}',
        start + ', "item": null, "quantity": 3}}',
        '{{"id": 7, "customer": "c-7", "item": "{id}", "quantity": 3}}',
        "[" * 3000 + "{id}",
        "\udcff\udc80 {id}",
        start + ', "item": "caf\udce9", "quantity": 2}}',  # in Latin-1
    ]
    rng.shuffle(texts)
    ids = [order_id(rng) for _ in texts]
    values = [text.format(id=id) for text, id in zip(texts, ids, strict=True)]
    return [(id, v.encode(errors="surrogateescape")) for id, v in zip(ids, values, strict=True)]


def bad(rng: random.Random, customer: str, headers: Headers = ()) -> Event:
    """A record with a drawn kind of poison."""
    return broken(customer, *no_orders(rng)[0], headers)


async def quiet_day(lab: Lab) -> None:
    """No fault; on each partition one poison, one refusal, one withdrawn order, and two orders that
    look the same. Exposes programs that stop at poison, drop it, ask again after a refusal, take a
    tombstone for poison, or two orders for one."""
    await lab.start("app")
    for p in PARTITIONS:
        events = [
            *orders(lab.rng, 4, p),
            *(order(lab.rng, f"c-{p}-3", item="lamp", quantity=2) for _ in range(2)),
            bad(lab.rng, f"c-{p}-0", [("trace", b"%08x" % lab.rng.getrandbits(32))]),
            refused(lab.rng, f"c-{p}-1"),
            withdrawn(lab.rng, f"c-{p}-2"),
        ]
        lab.rng.shuffle(events)
        await lab.send("orders", events, p)
    await lab.settle()
    await lab.aftershock()


async def poison_at_the_front(lab: Lab) -> None:
    """Each partition begins with poison of several kinds, good orders follow. Exposes programs that
    come to an end, or go round in circles, at some kind of poison."""
    values = no_orders(lab.rng)
    for p in PARTITIONS:
        bads = [broken(f"c-{p}-0", *value) for value in values[p :: len(PARTITIONS)]]
        await lab.send("orders", [*bads, *orders(lab.rng, 5, p)], p)
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def bad_minute(lab: Lab) -> None:
    """The service fails once, twice, three times for some orders, always for one, and refuses one
    after two failures; each has a later order of the same customer behind it. Exposes programs that
    give up at once, too early, too late or never, that ask again without a pause, that count
    attempts wrongly, and that let the later order overtake."""
    events = {p: orders(lab.rng, 5, p) for p in PARTITIONS}
    for p, times in zip(PARTITIONS, lab.rng.sample((1, 2, 3), 3), strict=True):
        victim = order(lab.rng, f"c-{p}-victim")
        events[p].insert(lab.rng.randrange(6), victim)
        events[p].append(order(lab.rng, victim.key))
        lab.calls("shipping", victim.id, times=times).error(lab.rng.choice((429, 503)))
    hopeless = without_hope(lab, "c-0-hopeless")
    events[0] += [hopeless, order(lab.rng, hopeless.key)]
    late = refused(lab.rng, "c-1-late")
    lab.calls("shipping", late.id, times=2).error(503)
    events[1] += [late, order(lab.rng, late.key)]
    await lab.start("app")
    sent = [s for p in PARTITIONS for s in await lab.send("orders", events[p], p)]
    # Whoever never gives up must not be waited for much longer than whoever does.
    await lab.reached(effects_of(sent), within=8.0)
    await lab.settle()
    await lab.aftershock()


def without_hope(lab: Lab, customer: str) -> Event:
    """An order for which the service always fails."""
    drawn = order(lab.rng, customer)
    lab.calls("shipping", drawn.id, times=None).error(503)
    return replace(drawn, expect=DEAD)


async def odd_bytes(lab: Lab) -> None:
    """Values of no bytes, of any bytes and of many; headers that come twice, that are empty, null
    or no text; a record without a key; orders in another hand: a good one, one that is refused, one
    that always fails. Exposes programs that decode and encode what they pass on, those that put
    headers into a dictionary, those that need a key, and those that suffer no further field."""
    rng = lab.rng
    odd: Headers = [
        ("trace", rng.randbytes(6)),
        ("via", b"shop"),
        ("empty", b""),
        ("via", b"\xff\x00\xfe"),
        ("unset", None),
        ("trace", rng.randbytes(6)),
    ]
    await lab.start("app")
    no_bytes, many_bytes = (
        broken("c-0-0", order_id(rng), b"", odd),
        broken("c-1-0", order_id(rng), rng.randbytes(60_000)),
    )
    never_made = replace(by_hand(refused(rng, "c-0-1")), headers=odd)
    hopeless = by_hand(without_hope(lab, "c-1-hopeless"))
    no_key = broken(None, order_id(rng), rng.randbytes(40), odd)
    await lab.send("orders", [no_bytes, never_made, *orders(rng, 3)], 0)
    await lab.send("orders", [many_bytes, no_key, hopeless, *orders(rng, 3, 1)], 1)
    # Whoever decodes this and encodes it again gets other bytes.
    text = f' {{"quantity":2.50,\n"item" : "\\u00e9t{rng.getrandbits(32)}\\/", "id":null}} '
    spaced = broken("c-2-é", order_id(rng), text.encode(), odd)
    await lab.send("orders", [withdrawn(rng, "c-2-0"), spaced, by_hand(order(rng, "c-2-1"))], 2)
    await lab.settle()
    await lab.aftershock()


async def mixed_batch(lab: Lab) -> None:
    """Many orders at once, one of them poison and one refused, one of the largest quantity; the
    first two records are the same poison. Exposes programs that give a whole batch up because of
    one record, commit past the rest of it, or take two records of the same bytes for one."""
    for p in PARTITIONS:
        events = orders(lab.rng, 16, p)
        events.insert(lab.rng.randrange(3, 14), order(lab.rng, f"c-{p}-2", quantity=1000))
        events.insert(lab.rng.randrange(3, 14), bad(lab.rng, f"c-{p}-0"))
        events.insert(lab.rng.randrange(3, 14), refused(lab.rng, f"c-{p}-1"))
        twins = [broken(f"c-{p}-3", order_id(lab.rng), b"-") for _ in range(2)]
        await lab.send("orders", [*twins, *events], p)
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def late_success(lab: Lab) -> None:
    """The service ships and its answer is lost: the program hears nothing, or the connection
    breaks. For one order it is always silent, for one the connection always breaks. Exposes
    programs that take silence for a refusal, that ask again under another key, that wait for ever,
    or that do not count what was not answered."""
    silent, cut = order(lab.rng, "c-0-1"), order(lab.rng, "c-1-1")
    lost, reset = order(lab.rng, "c-0-2"), order(lab.rng, "c-2-1")
    faults = [
        lab.calls("shipping", silent.id).drop_response(),
        lab.calls("shipping", cut.id).cut_response(),
        lab.calls("shipping", lost.id).drop_request(),
        lab.calls("shipping", reset.id).cut(),
    ]
    mute, broken_off = (
        replace(order(lab.rng, customer), expect=DEAD) for customer in ("c-1-mute", "c-2-off")
    )
    lab.calls("shipping", mute.id, times=None).drop_request()
    lab.calls("shipping", broken_off.id, times=None).cut()
    await lab.start("app")
    sent = await lab.send("orders", [silent, lost, *orders(lab.rng, 3)], 0)
    sent += await lab.send("orders", [mute, cut, *orders(lab.rng, 3, 1)], 1)
    sent += await lab.send("orders", [broken_off, *orders(lab.rng, 3, 2), reset], 2)
    for fault in faults:
        # A worker may have the mute order's customer and two of these.
        await lab.until(applied(fault), 2 * MUTE_S, why="the program to ask for every order")
    await lab.reached(effects_of(sent), within=MUTE_S)
    await lab.settle()
    await lab.aftershock()


async def one_customer_in_trouble(lab: Lab) -> None:
    """The service fails for some orders of one customer, more of that customer's lie behind them,
    and then orders of eight others. Exposes programs that let everybody wait while they wait to try
    again."""
    partition = lab.rng.choice(PARTITIONS)
    troubled = [without_hope(lab, "c-troubled") for _ in range(4)]
    troubled += [order(lab.rng, "c-troubled") for _ in range(12)]
    others = [order(lab.rng, f"c-other-{n}") for n in range(8)]
    sent = await lab.send("orders", [*troubled, *others], partition)
    await lab.start("app")
    await lab.until(effects_of(sent[:1]), within=15, why="the first order to be given up")
    await lab.reached(effects_of(sent), within=20)
    await lab.settle()
    await lab.aftershock()


def dead_letters(lab: Lab) -> Mapping[str, Any]:
    """The program's writes to the dead-letter topic, as what a fault is on."""
    return {"api": "Produce", "topic": lab.topic("dlq")}


# What ends as a dead letter, by why it does.
DOOMED: Sequence[Callable[[Lab, str], Event]] = (
    lambda lab, customer: bad(lab.rng, customer),
    lambda lab, customer: refused(lab.rng, customer),
    without_hope,
)


async def dlq_down_and_killed(lab: Lab) -> None:
    """The dead-letter topic does not answer; on each partition one record has to go there, each for
    another reason. SIGKILL once offsets beyond them are committed, or after 6 s, longer than the
    usual commit timer. Exposes programs that commit before the dead letter is known to be written,
    be it of poison, of a refused order, or of one that was given up."""
    doomed = [bad(lab.rng, "c-x"), refused(lab.rng, "c-y"), without_hope(lab, "c-z")]
    sent = []
    for p, event in zip(lab.rng.sample(PARTITIONS, 3), doomed, strict=True):
        sent += (await lab.send("orders", [event, *orders(lab.rng, 4, p)], p))[:1]
    writing = lab.gateway.fault(**dead_letters(lab), times=None).hold()
    app = await lab.start("app")
    await lab.until(held(writing), why="the program to write a dead letter")
    # By any clock: a program whose patience with the topic ends may ask for an order again.
    await lab.briefly(every([committed_past(one) for one in sent]), within=COMMIT_S)
    await app.kill()
    writing.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def dlq_refuses(lab: Lab) -> None:
    """The dead-letter topic refuses the first write many times, as without the right to write.
    Exposes programs that swallow the error and commit, that never look whether there was one, or
    that give up some day. (One dead letter, and nothing written before: else idempotent producers
    of more than one client lose count of their sequence numbers, which is not the program's fault.
    And poison: a thread that fails may leave its order to another one, which asks again.)"""
    p = lab.rng.choice(PARTITIONS)
    events = [*orders(lab.rng, 3, p), bad(lab.rng, f"c-{p}-x"), *orders(lab.rng, 4, p)]
    refusing = lab.gateway.fault(**dead_letters(lab), times=REFUSALS)
    writing = refusing.error("TOPIC_AUTHORIZATION_FAILED")
    await lab.start("app")
    await lab.send("orders", events, p)
    await lab.until(applied(writing), why="the program to write a dead letter")
    # A program that goes on after the first error does not meet the others.
    await lab.outlast(writing)
    await lab.settle()
    await lab.aftershock()


async def dlq_away_for_a_while(lab: Lab) -> None:
    """The dead-letter topic does not answer for 3 s, breaks a connection after it has written, and
    is well again; poison and refusals lie on all partitions. Exposes programs that give up a dead
    letter which takes long."""
    cut = lab.gateway.fault(**dead_letters(lab)).cut_response()
    await lab.start("app")
    first = await lab.send("orders", [bad(lab.rng, "c-0-x"), *orders(lab.rng, 2)], 0)
    await lab.until(applied(cut), why="the program to write a dead letter")
    await lab.reached(effects_of(first), within=COMMIT_S)
    writing = lab.gateway.fault(**dead_letters(lab), times=None).hold()
    sent = []
    for p in PARTITIONS:
        events = [bad(lab.rng, f"c-{p}-x"), *orders(lab.rng, 3, p), refused(lab.rng, f"c-{p}-y")]
        sent += await lab.send("orders", events, p)
    await lab.until(held(writing), why="the program to write another")
    await lab.reached(effects_of(sent), within=3.0)
    writing.release()
    await lab.settle()
    await lab.aftershock()


async def crash_after_dead_letter(lab: Lab) -> None:
    """SIGKILL when a dead letter, for a drawn reason, is written and its offset is not committed,
    or, where both are one transaction, before that ends. Exposes programs that name another origin
    the second time, and those that commit before they write."""
    p = lab.rng.choice(PARTITIONS)
    events = [lab.rng.choice(DOOMED)(lab, f"c-{p}-x"), *orders(lab.rng, 6, p)]
    commits = lab.commits(api="OffsetCommit", times=None).hold()
    in_transaction = lab.commits(api="TxnOffsetCommit", times=None).hold()
    sent = await lab.send("orders", events, p)
    app = await lab.start("app")
    written = effect_of(sent[0]) | held(in_transaction)
    await lab.until(written | held(commits), within=15, why="a dead letter before its commit")
    # A program that has stored the records commits first.
    await lab.reached(written, within=COMMIT_S)
    await app.kill()
    commits.drop()
    in_transaction.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def crash_after_shipment(lab: Lab) -> None:
    """SIGKILL when an order is shipped and its offset is not committed. Exposes programs whose
    idempotency key is another after a restart."""
    sent = [s for p in PARTITIONS for s in await lab.send("orders", orders(lab.rng, 5, p), p)]
    commits = lab.commits(times=None).hold()
    app = await lab.start("app")
    shipped = effects_of(sent, at_least=1)
    await lab.until(shipped | held(commits), why="an order to be shipped before its commit")
    # A program that has stored the records commits first.
    await lab.reached(shipped, within=COMMIT_S)
    await app.kill()
    commits.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def killed_before_it_is_stored(lab: Lab) -> None:
    """SIGKILL while the program's database lets everything wait, once offsets past the new orders
    are committed or after 6 s. A program that needs no database just goes on. Exposes programs that
    let go of an order before they have stored it."""
    app = await lab.start("app")
    known = await lab.send("orders", orders(lab.rng, 2))
    await lab.reached(effects_of(known), within=COMMIT_S)
    stall = lab.gateway.hold_savings(app.name)
    p = lab.rng.choice(PARTITIONS)
    sent = await lab.send("orders", orders(lab.rng, 3, p), p)
    await lab.reached(committed_past(sent[-1]), within=COMMIT_S)
    await app.kill()
    stall.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def crash_between_attempts(lab: Lab) -> None:
    """SIGKILL while an order has failed twice and is asked for again. Exposes programs that commit
    an order which waits for its next attempt in memory."""
    p = lab.rng.choice(PARTITIONS)
    victim = order(lab.rng, f"c-{p}-victim")
    lab.calls("shipping", victim.id, times=2).error(503)
    asking = lab.calls("shipping", victim.id, nth=3, times=None).hold()
    app = await lab.start("app")
    (sent,) = await lab.send("orders", [victim], p)
    await lab.send("orders", orders(lab.rng, 4, p), p)
    await lab.until(held(asking), within=15, why="the program to try a third time")
    await app.kill()
    if called_about(sent, ATTEMPTS).holds(lab.history):
        raise NotExercised("the program was not killed between two attempts, but after the last")
    asking.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def second_instance_joins(lab: Lab) -> None:
    """A second instance joins while an order of each partition is in trouble, and the first is
    killed as soon as they share the partitions. Then the first comes back while further orders are
    in trouble, and both go on. Exposes programs that commit what they have in hand when partitions
    move, and those that forget it."""
    first = await lab.start("first")
    await joined_in_trouble(lab, "second")
    await first.kill()
    await joined_in_trouble(lab, "first")
    for p in PARTITIONS:
        await lab.send("orders", [*orders(lab.rng, 4, p), bad(lab.rng, f"c-{p}-x")], p)
    await lab.settle()
    await lab.aftershock()


async def joined_in_trouble(lab: Lab, name: str) -> None:
    """Let an instance join when an order of each partition was asked for in vain; the service does
    not hear of it the second time either."""
    joining = await lab.start_to_join(name)
    victims = []
    for p in PARTITIONS:
        victim = order(lab.rng, f"c-{p}-{name}")
        lab.calls("shipping", victim.id, times=2).drop_request()
        victims += (await lab.send("orders", [victim, *orders(lab.rng, 4, p)], p))[:1]
    for sent in victims:
        await lab.until(called_about(sent), within=15, why="each of these to be asked for")
    joining.release()
    # A program may first see its batch through: twice 3 s without an answer, and the pauses.
    await lab.until_shared(2, why="both instances to share the partitions", within=25)
