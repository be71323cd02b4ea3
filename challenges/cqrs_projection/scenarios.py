"""What happens to the program, and which mistake each story exposes."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from graders.conditions import (
    Condition,
    answered,
    applied,
    committed_past,
    committed_past_all,
    effects_of,
    held,
)
from graders.facts import Asked, Fetched, Sent, short_topic
from graders.history import History
from graders.instance import Instance
from graders.kafka import partition_of
from graders.lab import JOIN_APIS, REFUSALS, Lab
from graders.projection import Unusable, read_rebuild
from graders.spec import Event, Raw
from sandbox.gateway import Fault

CUSTOMERS, ORDERS, REVIEWS = "customers", "orders", "reviews"
REBUILD = "/rebuild"
PARTITIONS = {CUSTOMERS: 2, ORDERS: 3}
LARGE = 100_000
HUGE = 3_000_000_001  # more than four bytes hold, as an integer or a float
# How long to wait for what nearly every program does at once. A program that never does it is not
# to blame, so the story goes on without.
USUALLY_S = 8.0
# The timer of clients that commit by themselves is 5 s, if nobody sets it.
COMMIT_TIMER_S = 6.0
# A program may wait 3 s for a record before it says that it does not have it.
TOKEN_S = 4.0
# How long it is asked whether a rebuild is done that may have to wait for something else.
CHANGES_OVER_S = 3.0
REBUILD_S = 10.0
WRITES_S = 1.0
# A program may take 10 s to start, and then some to answer.
ANSWER_S = 15.0


def expected(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every large order is reviewed when it is placed."""
    if value.get("type") != "placed" or value["cents"] < LARGE:
        return {}
    return {REVIEWS: {"order_id": value["order"], "cents": value["cents"]}}


def fold(values: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """There is no table of state that the grader knows."""
    return {}


def project(
    customer: str, events: Iterable[tuple[str, Mapping[str, Any]]]
) -> dict[str, Any] | None:
    """A customer's row, from these events alone; None when there is no such customer."""
    name: str | None = None
    open_orders: dict[str, int] = {}
    for topic, event in events:
        if topic == CUSTOMERS and event["customer"] == customer:
            name = event["name"]
        elif topic == ORDERS:
            take_up(open_orders, customer, event)
    if name is None:
        return None
    return {
        "customer": customer,
        "name": name,
        "open_orders": len(open_orders),
        "total_cents": sum(open_orders.values()),
    }


def take_up(open_orders: dict[str, int], customer: str, event: Mapping[str, Any]) -> None:
    """Apply an order's event to the open orders of a customer, if it is one of theirs."""
    if event["type"] == "placed" and event["customer"] == customer:
        open_orders[event["order"]] = event["cents"]
    elif event["order"] in open_orders:
        if event["type"] == "changed":
            open_orders[event["order"]] += event["cents"]
        elif event["type"] == "cancelled":
            del open_orders[event["order"]]


def new_id(rng: random.Random, kind: str, bits: int = 32) -> str:
    return f"{kind}-{rng.getrandbits(bits):0{bits // 4}x}"


def customer(rng: random.Random, id: str | None = None) -> Event:
    """A customer is announced, or has another name now."""
    id = id or new_id(rng, "cus")
    name = rng.choice(("Ada", "Grace", "Edsger", "Zoë")) + f" {rng.randrange(1000)}"
    event = new_id(rng, "evt", 48)
    return Event(event, id, {"id": event, "customer": id, "name": name})


def deletion(rng: random.Random, id: str) -> Event:
    """A customer is deleted, by a tombstone."""
    return Event(new_id(rng, "evt", 48), id, {"customer": id, "name": None}, raw=Raw(None))


def placed(rng: random.Random, customer: str, cents: int | None = None) -> Event:
    """A new order."""
    order, event = new_id(rng, "ord"), new_id(rng, "evt", 48)
    cents = rng.randrange(100, LARGE) if cents is None else cents
    told = {"id": event, "type": "placed", "order": order, "customer": customer, "cents": cents}
    return Event(event, order, told)


def large(rng: random.Random, customer: str) -> Event:
    """A new order that is reviewed."""
    return placed(rng, customer, rng.randrange(LARGE, 5 * LARGE))


def changed(rng: random.Random, order: Event, cents: int | None = None) -> Event:
    event = new_id(rng, "evt", 48)
    cents = rng.choice((-50, 75)) * rng.randrange(1, 20) if cents is None else cents
    return Event(
        event, order.key, {"id": event, "type": "changed", "order": order.key, "cents": cents}
    )


def cancelled(rng: random.Random, order: Event) -> Event:
    event = new_id(rng, "evt", 48)
    return Event(event, order.key, {"id": event, "type": "cancelled", "order": order.key})


def sentinel(rng: random.Random) -> Event:
    """An order of a customer that nobody knows, in any partition."""
    return placed(rng, new_id(rng, "cus"))


sentinels = {CUSTOMERS: customer}


def some_customers(rng: random.Random, number: int = 3) -> list[Event]:
    """Customers of whom each partition has one at least."""
    found: list[Event] = []
    while len(found) < number:
        one = customer(rng)
        if len(found) >= PARTITIONS[CUSTOMERS] or lane_of(one) == len(found):
            found.append(one)
    return found


def lane_of(event: Event) -> int:
    return partition_of(str(event.key), PARTITIONS[CUSTOMERS])


def a_history(rng: random.Random, ids: Iterable[str]) -> list[Event]:
    """Of each customer some orders, of which one grows, one is cancelled, and one is large."""
    events = []
    for id in ids:
        grows, goes, stays = placed(rng, id), placed(rng, id), large(rng, id)
        events += [grows, goes, changed(rng, grows), stays, cancelled(rng, goes)]
    return events


def ids_of(customers: Iterable[Event]) -> list[str]:
    return [str(event.key) for event in customers]


def token(sent: Sent) -> str:
    """A record's place, as a question names it."""
    return f"{short_topic(sent.topic)}-{sent.partition}@{sent.offset}"


def path_of(id: str, after: Sent | None = None) -> str:
    return f"/customers/{id}" + (f"?after={token(after)}" if after else "")


async def survey(lab: Lab, app: Instance, ids: Iterable[str]) -> None:
    """Ask about each customer."""
    for id in ids:
        await lab.insist(app, "GET", path_of(id), within=ANSWER_S)


async def until_included(lab: Lab, app: Instance, id: str, sent: Sequence[Sent]) -> None:
    """Ask about a customer until the answer includes the last of these records in each
    partition."""
    last = {(each.topic, each.partition): each for each in sent}
    for each in last.values():
        await lab.insist(app, "GET", path_of(id, after=each), within=ANSWER_S)


async def rebuild(lab: Lab, app: Instance) -> int | None:
    """Ask for a new view; its number, None when the program does not agree to one."""
    asked = await lab.insist(app, "POST", REBUILD, within=ANSWER_S)
    try:
        return read_rebuild(asked).generation
    except Unusable:
        return None


async def until_rebuilt(
    lab: Lab, app: Instance, generation: int | None, ids: Sequence[str]
) -> None:
    """Ask about customers until the new view answers, which is owed."""
    if generation is not None:
        await may_change_over(lab, app, generation, ids, REBUILD_S * lab.patience)
        await lab.insist(app, "GET", f"/generations/{generation}")


async def may_change_over(
    lab: Lab, app: Instance, generation: int | None, ids: Sequence[str], within: float
) -> None:
    """Ask about customers, for so many seconds, until the new view answers."""
    deadline = lab.history.clock.now() + within
    while lab.history.clock.now() < deadline:
        await survey(lab, app, ids)
        asked = await lab.ask(app, "GET", f"/generations/{generation}")
        if asked.status == 200:
            return


async def the_end(lab: Lab, app: Instance, ids: Sequence[str]) -> None:
    """Settle, restart, settle, and ask about everybody each time."""
    await lab.settle()
    await survey(lab, app, ids)
    await lab.aftershock()
    await survey(lab, app, ids)


async def quiet_day(lab: Lab) -> None:
    """No fault at all; one order becomes large after it was placed. Exposes programs that miss what
    was sent before they started, that count what is cancelled or changed wrongly, that review what
    was not placed large, and that answer from a store that is not kept up."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    sent = await lab.send(CUSTOMERS, customers)
    sent += await lab.send(ORDERS, a_history(lab.rng, ids))
    app = await lab.start("app")
    # A program that misses these must be there for the next, or it would only seem to be stuck.
    await lab.reached(effects_of(sent_reviews(sent)), within=4.0)
    await survey(lab, app, ids)
    small = placed(lab.rng, ids[0], LARGE - 1)
    growing = [small, changed(lab.rng, small, 1), changed(lab.rng, small, LARGE)]
    await lab.send(ORDERS, [*a_history(lab.rng, ids[:2]), *growing])
    await lab.send(CUSTOMERS, [customer(lab.rng, ids[0])])
    await the_end(lab, app, ids)


def sent_reviews(sent: Iterable[Sent]) -> list[Sent]:
    """Those events that are to be reviewed."""
    return [each for each in sent if REVIEWS in each.expect]


async def read_your_writes(lab: Lab) -> None:
    """Somebody asks for what was just written, while Kafka lets the program wait for it. Exposes
    programs that ignore the token, or go by another record, and those that do not answer others
    in the meantime."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    known = await lab.send(CUSTOMERS, customers)
    known += await lab.send(ORDERS, [placed(lab.rng, id) for id in ids for _ in range(2)])
    app = await lab.start("app")
    await until_included(lab, app, ids[0], known)
    fetches = lab.gateway.fault("Fetch", instance=app.name, times=None).hold()
    await lab.until(applied(fetches), why="the program to ask for records")
    new = await lab.send(ORDERS, [placed(lab.rng, id) for id in ids])
    new += await lab.send(CUSTOMERS, [customer(lab.rng, ids[0])])
    await lab.ask(app, "GET", path_of(ids[0], after=new[0]), within=TOKEN_S)
    await survey(lab, app, ids)
    fetches.release()
    await until_included(lab, app, ids[0], new)
    await the_end(lab, app, ids)


async def rebuilt(lab: Lab) -> None:
    """The view is rebuilt while nothing else happens. Exposes programs that apply all events on top
    of the old view, that copy the old view, and that ask for the reviews again."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    sent = await lab.send(CUSTOMERS, [*customers, deletion(lab.rng, ids[2])])
    sent += await lab.send(ORDERS, a_history(lab.rng, ids))
    app = await lab.start("app")
    await until_included(lab, app, ids[0], sent)
    await survey(lab, app, ids)
    await lab.reached(committed_past_all(sent), within=USUALLY_S)
    generation = await rebuild(lab, app)
    await until_rebuilt(lab, app, generation, ids)
    await survey(lab, app, ids)
    sent = await lab.send(ORDERS, a_history(lab.rng, ids[:1]))
    await until_included(lab, app, ids[0], sent)
    await the_end(lab, app, ids)


async def orders_first(lab: Lab) -> None:
    """Orders are taken up long before their customers are announced, and more while somebody asks.
    Exposes programs that drop what has no customer yet, those that wait for the customer and take
    up nothing else, and answers that are read in parts which do not belong together."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    app = await lab.start("app")
    orders = await lab.send(ORDERS, a_history(lab.rng, ids))
    await until_included(lab, app, ids[0], orders)
    await survey(lab, app, ids)
    names = await lab.send(CUSTOMERS, customers)
    await until_included(lab, app, ids[0], names)
    await survey(lab, app, ids)
    for nth in (2, 3, 4):
        await ask_meanwhile(lab, app, ids[0], nth)
    await the_end(lab, app, ids)


async def ask_meanwhile(lab: Lab, app: Instance, id: str, nth: int) -> None:
    """Ask about a customer of whom more is taken up when the answer is read in parts, before the
    `nth` part is."""
    is_told = answered(path_of(id), after=lab.history.count(Asked))
    reading = lab.gateway.hold_reading(app.name, nth=nth)
    lab.meanwhile(lab.insist(app, "GET", path_of(id), within=ANSWER_S))
    await lab.reached(held(reading) | is_told, within=USUALLY_S)
    if reading.held:
        (sent,) = await lab.send(ORDERS, [placed(lab.rng, id)])
        await lab.briefly(committed_past(sent), within=WRITES_S)
    reading.release()
    await lab.until(is_told, ANSWER_S, why="the question to be answered")


async def deleted(lab: Lab) -> None:
    """Customers are deleted and announced again, with orders before, between and after, and older
    ones changed in between; one order is huge. Exposes programs that ignore tombstones or fall over
    them, that forget the orders with the customer, and whose cents have four bytes."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    grow, go = ([placed(lab.rng, id) for id in ids] for _ in range(2))
    sent = await lab.send(CUSTOMERS, customers)
    huge = placed(lab.rng, ids[1], HUGE)
    sent += await lab.send(ORDERS, [*a_history(lab.rng, ids), *grow, *go, huge])
    app = await lab.start("app")
    await until_included(lab, app, ids[0], sent)
    gone = await lab.send(CUSTOMERS, [deletion(lab.rng, id) for id in ids])
    await until_included(lab, app, ids[0], gone)
    await survey(lab, app, ids)
    sent = await lab.send(ORDERS, [changed(lab.rng, order) for order in grow])
    sent += await lab.send(ORDERS, [cancelled(lab.rng, order) for order in go])
    sent += await lab.send(ORDERS, [placed(lab.rng, id) for id in ids])
    await until_included(lab, app, ids[0], sent)
    back = await lab.send(CUSTOMERS, [customer(lab.rng, id) for id in ids[1:]])
    await until_included(lab, app, ids[0], back)
    await survey(lab, app, ids)
    await the_end(lab, app, ids)


async def transactions(lab: Lab) -> None:
    """Producers use transactions, and abort some, also the last ones; then the view is rebuilt.
    Exposes programs that take aborted records for events, or that expect each offset to hold a
    record, if only in a rebuild."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    sent = await lab.send(CUSTOMERS, customers)
    for partition in range(PARTITIONS[ORDERS]):
        aborted = [large(lab.rng, id) for id in ids]
        await lab.transact(ORDERS, aborted, partition, commit=False)
        kept = [placed(lab.rng, id) for id in ids]
        sent += await lab.transact(ORDERS, kept, partition, commit=True)
    app = await lab.start("app")
    await until_included(lab, app, ids[0], sent)
    await survey(lab, app, ids)
    named = customer(lab.rng, ids[0])
    await lab.transact(CUSTOMERS, [deletion(lab.rng, ids[0])], lane_of(named), commit=False)
    sent = await lab.send(CUSTOMERS, [named])
    await until_included(lab, app, ids[0], sent)
    await lab.reached(committed_past_all(sent), within=USUALLY_S)
    for partition in range(PARTITIONS[ORDERS]):
        await lab.transact(ORDERS, [large(lab.rng, ids[0])], partition, commit=False)
    await until_rebuilt(lab, app, await rebuild(lab, app), ids)
    await survey(lab, app, ids)
    await the_end(lab, app, ids)


async def killed_before_commit(lab: Lab) -> None:
    """SIGKILL when records are in the view and their offsets are not committed, three times.
    Exposes programs that count what they are handed again, an order, the change of one, or a
    customer's end, and that take the limit of reviews for the other side of it."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    known = await lab.send(CUSTOMERS, customers)
    app = await lab.start("app")
    await until_included(lab, app, ids[0], known)
    await lab.reached(committed_past_all(known), within=USUALLY_S)
    partition = lab.rng.randrange(PARTITIONS[ORDERS])
    order = placed(lab.rng, ids[0])
    known = await lab.send(ORDERS, [order], partition)
    await until_included(lab, app, ids[0], known)
    await lab.reached(committed_past_all(known), within=USUALLY_S)
    for first in (changed(lab.rng, order), large(lab.rng, ids[0])):
        events = [first, placed(lab.rng, ids[0], LARGE), *a_history(lab.rng, ids)]
        await kill_before_commit(lab, app, ids, ORDERS, events, partition)
    named = [customer(lab.rng, ids[0]), deletion(lab.rng, ids[0]), customer(lab.rng, ids[0])]
    await kill_before_commit(lab, app, ids, CUSTOMERS, named, lane_of(named[0]))
    await the_end(lab, app, ids)


async def kill_before_commit(
    lab: Lab,
    app: Instance,
    ids: Sequence[str],
    topic: str,
    events: Sequence[Event],
    partition: int,
) -> None:
    """Send events about the first customer; SIGKILL and restart when they are in the view and not
    committed. A program that commits each record for itself comes no further than the first."""
    commits = lab.commits(times=None).hold()
    sent = await lab.send(topic, events, partition)
    await until_included(lab, app, ids[0], sent[:1])
    await lab.until(effects_of(sent_reviews(sent[:1])), why="a large order to be reviewed")
    await survey(lab, app, ids)
    # A program that commits by a timer may not have come to it.
    await lab.reached(held(commits), within=USUALLY_S)
    await survey(lab, app, ids)
    await app.kill()
    commits.drop()
    await lab.start("app")
    await survey(lab, app, ids)
    await until_included(lab, app, ids[0], sent)
    await lab.reached(committed_past_all(sent), within=USUALLY_S)


async def killed_in_transaction(lab: Lab) -> None:
    """SIGKILL while the database lets the commit of a review wait, and the view is asked for.
    Exposes programs that say they have what is not durable yet, that commit offsets before it is,
    and that write view, position and review in several transactions."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    known = await lab.send(CUSTOMERS, customers)
    known += await lab.send(ORDERS, a_history(lab.rng, ids))
    app = await lab.start("app")
    await until_included(lab, app, ids[0], known)
    await lab.until(effects_of(sent_reviews(known)), why="the large orders to be reviewed")
    order = large(lab.rng, ids[0])
    commit = await lab.sink.hold(REVIEWS, row={"event_id": order.id}, at="commit")
    events = [placed(lab.rng, ids[0]), order, *a_history(lab.rng, ids[1:])]
    sent = await lab.send(ORDERS, events, lab.rng.randrange(PARTITIONS[ORDERS]))
    await lab.until(held(commit), why="a review to be written")
    await lab.ask(app, "GET", path_of(ids[0]))
    # A program that commits first has done so by now, or does so when its timer comes.
    await lab.reached(committed_past(sent[1]), within=COMMIT_TIMER_S)
    await app.kill()
    await commit.drop()
    await lab.start("app")
    await survey(lab, app, ids)
    await until_included(lab, app, ids[0], sent)
    await the_end(lab, app, ids)


async def killed_at_each_commit(lab: Lab) -> None:
    """SIGKILL when the database has committed, before the program hears of it, and again at the
    next commit of its next life, about one large order; twice. Exposes programs that write the
    view, its position or the review in a transaction of its own, and those that know only of what
    they have read since they started."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    known = await lab.send(CUSTOMERS, customers)
    app = await lab.start("app")
    await until_included(lab, app, ids[0], known)
    await lab.reached(committed_past_all(known), within=USUALLY_S)
    for _ in range(2):
        commit = lab.database_commits(app).hold_response()
        partition = lab.rng.randrange(PARTITIONS[ORDERS])
        sent = await lab.send(ORDERS, [large(lab.rng, ids[0])], partition)
        await lab.kill_at_commits(app, commit, committed_past_all(sent))
        await until_included(lab, app, ids[0], [*known, *sent])
    await the_end(lab, app, ids)


async def refused(lab: Lab) -> None:
    """The database refuses a review, and later the commit of another many times. Exposes programs
    that let an error pass, at once or after some attempts, and those whose other writes of the same
    record stay."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    known = await lab.send(CUSTOMERS, customers)
    app = await lab.start("app")
    await until_included(lab, app, ids[0], known)
    for id, at, times in ((ids[0], "insert", 1), (ids[1], "commit", REFUSALS)):
        order = large(lab.rng, id)
        fault = await lab.sink.fail(REVIEWS, row={"event_id": order.id}, times=times, at=at)
        events = [placed(lab.rng, id), order, changed(lab.rng, order)]
        sent = await lab.send(ORDERS, events, lab.rng.randrange(PARTITIONS[ORDERS]))
        await lab.until(applied(fault), why="a review to be refused")
        await lab.outlast(fault)
        await until_included(lab, app, id, sent)
    await survey(lab, app, ids)
    await the_end(lab, app, ids)


async def cut_off(lab: Lab) -> None:
    """Killed and started again while Kafka lets the program wait, for the group and then for
    records, and somebody asks for what was just written. Exposes programs whose view is in memory,
    and those that answer only when they are members, or have caught up."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    sent = await lab.send(CUSTOMERS, customers)
    sent += await lab.send(ORDERS, a_history(lab.rng, ids))
    app = await lab.start("app")
    await until_included(lab, app, ids[0], sent)
    await survey(lab, app, ids)
    await app.kill()
    joining = lab.gateway.fault(JOIN_APIS, times=None).hold()
    fetches = lab.gateway.fault("Fetch", times=None).hold()
    await lab.start("app")
    await survey(lab, app, ids)
    for waiting in (joining, fetches):
        await lab.reached(held(waiting), within=USUALLY_S)
        await survey(lab, app, ids)
        if waiting is fetches:
            (new,) = await lab.send(CUSTOMERS, [customer(lab.rng, ids[0])])
            await lab.ask(app, "GET", path_of(ids[0], after=new), within=TOKEN_S)
        waiting.release()
    await the_end(lab, app, ids)


def from_the_start(sent: Sequence[Sent]) -> Callable[[Any], bool]:
    """Whether a Fetch asks for one of these records again, or for one before them, which only a
    rebuild does once they are in the view."""
    last = {(each.topic, each.partition): each.offset or 0 for each in sent}

    def is_behind(body: Any) -> bool:
        return any(
            partition["FetchOffset"] <= last.get((topic["Topic"], partition["Partition"]), -1)
            for topic in body["Topics"]
            for partition in topic["Partitions"]
        )

    return is_behind


def handed_since(n: int, sent: Sequence[Sent]) -> Condition:
    """All these records were handed to the program after fact `n`."""

    def holds(history: History) -> bool:
        fetches = [fetch for fetch in history.of(Fetched) if fetch.n > n]
        at = [(each.topic, each.partition, each.offset or 0) for each in sent]
        return all(any(fetch.hands_out(*place) for fetch in fetches) for place in at)

    return Condition("the records to be handed out again", holds)


async def slow_rebuild(lab: Lab) -> None:
    """Kafka lets a rebuild wait, while records keep coming and the view is asked for, then also at
    each of its commits. Exposes programs that rebuild in place, that take a slow Kafka for the end
    of a topic, that change to the new view before it has what the old one has, or in several
    transactions, and that do nothing else meanwhile."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    known = await lab.send(CUSTOMERS, customers)
    known += await lab.send(ORDERS, a_history(lab.rng, ids))
    app = await lab.start("app")
    await until_included(lab, app, ids[0], known)
    await survey(lab, app, ids)
    await lab.reached(committed_past_all(known), within=USUALLY_S)
    orders = [each for each in known if short_topic(each.topic) == ORDERS]
    fetches = lab.gateway.fault("Fetch", times=None, where=from_the_start(orders)).hold()
    generation = await rebuild(lab, app)
    await lab.reached(held(fetches), within=USUALLY_S)
    await survey(lab, app, ids)
    new = await lab.send(ORDERS, a_history(lab.rng, ids[:2]))
    new += await lab.send(CUSTOMERS, [customer(lab.rng, ids[1]), deletion(lab.rng, ids[2])])
    await until_included(lab, app, ids[0], new)
    await survey(lab, app, ids)
    commit = lab.database_commits(app).hold_response()
    fetches.release()
    await ask_at_commits(lab, app, commit, generation, ids)
    await until_rebuilt(lab, app, generation, ids)
    await survey(lab, app, ids)
    await the_end(lab, app, ids)


async def ask_at_commits(
    lab: Lab, app: Instance, commit: Fault, generation: int | None, ids: Sequence[str]
) -> None:
    """Ask about customers at `commit`, whose answer the program does not have yet, and at each
    further one, until the new view answers or no more of them come. A program that does nothing
    else while it waits for its database is not asked again."""
    deadline = lab.history.clock.now() + REBUILD_S
    is_over = False
    while not is_over and lab.history.clock.now() < deadline:
        is_over = not await lab.briefly(held(commit), within=WRITES_S)
        for path in (*map(path_of, ids), f"/generations/{generation}"):
            asked = await lab.ask(app, "GET", path, within=WRITES_S)
            is_over = is_over or asked.status is None
        is_over = is_over or asked.status == 200
        commit.release()
        commit = lab.database_commits(app).hold_response()
    commit.cancel()


async def changed_over_meanwhile(lab: Lab) -> None:
    """A rebuild has read all there was, and could change to the new view, while the database lets
    a newer record's commit wait. Exposes programs that write into the view that was the current
    one when they looked: the record is in the old view then, and its offset in the new one."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    known = await lab.send(CUSTOMERS, customers)
    known += await lab.send(ORDERS, a_history(lab.rng, ids))
    app = await lab.start("app")
    await until_included(lab, app, ids[0], known)
    await lab.reached(committed_past_all(known), within=USUALLY_S)
    first = lab.gateway.fault("Fetch", times=None, where=from_the_start(known)).hold_response()
    generation = await rebuild(lab, app)
    await lab.reached(held(first), within=USUALLY_S)
    order, partition = large(lab.rng, ids[0]), lab.rng.randrange(PARTITIONS[ORDERS])
    commit = await lab.sink.hold(REVIEWS, row={"event_id": order.id}, at="commit")
    await lab.send(ORDERS, [order], partition)
    await lab.until(held(commit), why="a review to be written")
    # The rebuild gets what is on its way already, and not the new record.
    further = lab.gateway.fault("Fetch", times=None).hold()
    began = len(lab.history)
    first.release()
    await lab.reached(handed_since(began, known), within=USUALLY_S)
    await ask_whether_rebuilt(lab, app, generation, ids[0])
    await commit.release()
    further.release()
    more = await lab.send(ORDERS, [placed(lab.rng, ids[0])], partition)
    await until_included(lab, app, ids[0], more)
    await until_rebuilt(lab, app, generation, ids)
    await survey(lab, app, ids)
    await the_end(lab, app, ids)


async def ask_whether_rebuilt(lab: Lab, app: Instance, generation: int | None, id: str) -> None:
    """Ask whether the new view answers, and about a customer, for a while or until it does. A
    program that does nothing else while it waits for its database gives no answer."""
    deadline = lab.history.clock.now() + CHANGES_OVER_S
    while lab.history.clock.now() < deadline:
        asked = await lab.ask(app, "GET", f"/generations/{generation}", within=WRITES_S)
        await lab.ask(app, "GET", path_of(id), within=WRITES_S)
        if asked.status == 200:
            return


async def fast_rebuild(lab: Lab) -> None:
    """Kafka lets the live view wait, while a rebuild reads on and overtakes it. Exposes programs in
    which the new view's positions say what was reviewed, so that large orders are never reviewed,
    and those that count again in it what the live view comes to later."""
    app, ids, fetches, generation = await overtake(lab)
    fetches.release()
    await until_rebuilt(lab, app, generation, ids)
    await the_end(lab, app, ids)


async def killed_when_overtaken(lab: Lab) -> None:
    """The same, and SIGKILL before the live view goes on. Exposes programs that go on from where
    the view is, and pass over what is not reviewed."""
    app, ids, fetches, _ = await overtake(lab)
    await app.kill()
    fetches.drop()
    await lab.start("app")
    await survey(lab, app, ids)
    await the_end(lab, app, ids)


async def overtake(lab: Lab) -> tuple[Instance, list[str], Fault, int | None]:
    """Have a rebuild overtake the live view, which a fault holds; the program, its customers, the
    fault, and the rebuild's number."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    known = await lab.send(CUSTOMERS, customers)
    orders = [[placed(lab.rng, ids[0]), placed(lab.rng, ids[0])] for _ in range(PARTITIONS[ORDERS])]
    for partition, pair in enumerate(orders):
        known += await lab.send(ORDERS, [*a_history(lab.rng, ids[:1]), *pair], partition)
    app = await lab.start("app")
    await until_included(lab, app, ids[0], known)
    await survey(lab, app, ids)
    await lab.reached(committed_past_all(known), within=USUALLY_S)
    is_behind = from_the_start(known)
    fetches = lab.gateway.fault("Fetch", times=None, where=lambda body: not is_behind(body)).hold()
    await lab.until(applied(fetches), why="the program to ask for records")
    for partition, (grows, goes) in enumerate(orders):
        events = [changed(lab.rng, grows), cancelled(lab.rng, goes), large(lab.rng, ids[1])]
        await lab.send(ORDERS, events, partition)
    began = len(lab.history)
    generation = await rebuild(lab, app)
    await lab.reached(handed_since(began, known), within=USUALLY_S)
    # A careful program may wait for the live view before it changes over.
    await may_change_over(lab, app, generation, ids, CHANGES_OVER_S)
    return app, ids, fetches, generation


async def killed_while_rebuilding(lab: Lab) -> None:
    """SIGKILL while a rebuild is under way that lacks one record, the last; after the restart the
    view is asked for, and then rebuilt in peace, twice. Exposes programs that change to a view that
    is nearly as far as the old one, or as far as it was when they were asked, that go on with the
    old view's ruins, that rebuild on top of what the dead rebuild left, and that never rebuild
    again, or only once."""
    customers = some_customers(lab.rng)
    ids = ids_of(customers)
    known = await lab.send(CUSTOMERS, customers)
    known += await lab.send(ORDERS, a_history(lab.rng, ids))
    app = await lab.start("app")
    await until_included(lab, app, ids[0], known)
    await survey(lab, app, ids)
    await lab.reached(committed_past_all(known), within=USUALLY_S)
    first = lab.gateway.fault("Fetch", times=None, where=from_the_start(known)).hold_response()
    dropped = await rebuild(lab, app)
    await lab.reached(held(first), within=USUALLY_S)
    new = await lab.send(ORDERS, [placed(lab.rng, ids[0])])
    await until_included(lab, app, ids[0], new)
    # What is let go now is only what was there before; for the rest the rebuild must ask again.
    further = lab.gateway.fault("Fetch", times=None).hold()
    began = len(lab.history)
    first.release()
    await lab.reached(handed_since(began, known), within=USUALLY_S)
    # What it was handed it writes in a moment, if at all; no fact tells of that.
    await may_change_over(lab, app, dropped, ids, CHANGES_OVER_S)
    await app.kill()
    further.drop()
    await lab.start("app")
    await survey(lab, app, ids)
    first_view = await rebuild(lab, app)
    await until_rebuilt(lab, app, first_view, ids)
    await until_rebuilt(lab, app, await rebuild(lab, app), ids)
    await until_rebuilt(lab, app, first_view, ids)
    await survey(lab, app, ids)
    await the_end(lab, app, ids)
