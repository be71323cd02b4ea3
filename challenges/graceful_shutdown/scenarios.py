"""What happens to the program, and which mistake each story exposes."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from graders.conditions import (
    Condition,
    applied,
    committed_past,
    effect_of,
    effects_of,
    ended,
    has_left,
    held,
    owners,
    owns,
    passes,
)
from graders.facts import Commit, Sent
from graders.instance import GRACE_S, Instance
from graders.lab import Lab
from graders.sink import SinkFault
from graders.spec import Event

PARTITIONS = (0, 1, 2)
REJOIN = ("JoinGroup", "SyncGroup", "ConsumerGroupHeartbeat")
# More than a stop may take of what comes after SIGTERM (SHU-2).
ORDERS_AFTER = 5
# How long a story waits, by any clock, for what only a wrong program does: a right one is kept
# waiting meanwhile. Below the 2 s in which Kafka is said to answer: some clients give up then.
MOMENT_S, LONGER_S = 1.0, 1.6
# The same for another instance to get a partition of one that should not let go of it. Well below
# the 10 s after which a group goes on without a member of aiokafka that does not join again.
JOINED_S = 5.0


def expected(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every order gets one invoice and one announcement, with its customer and amount."""
    content = {"customer": value["customer"], "amount": value["amount"]}
    return {"invoices": content, "announcements": content}


def fold(values: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """There is no state to compare."""
    return {}


def order(rng: random.Random) -> Event:
    """An order with an id of its own, of a drawn customer, over a drawn amount."""
    id = f"ord-{rng.getrandbits(48):012x}"
    customer = f"c-{rng.randrange(100)}"
    return Event(id, customer, {"id": id, "customer": customer, "amount": rng.randrange(1, 50_000)})


def orders(rng: random.Random, number: int) -> list[Event]:
    return [order(rng) for _ in range(number)]


sentinel = order


async def right_after_the_last_order(lab: Lab) -> None:
    """SIGTERM when the last order has just been done. Exposes programs that do not commit what they
    did, as by a timer that does not come any more; that end without leaving the group; that ignore
    the signal, or end by an error."""
    app = await lab.start("app")
    sent = [s for p in PARTITIONS for s in await lab.send("orders", orders(lab.rng, 4), p)]
    await lab.until(effects_of(sent, place="announcements"), why="all orders to be announced")
    await app.terminate()
    await go_on(lab)


async def in_the_middle_of_an_order(lab: Lab) -> None:
    """SIGTERM while an invoice waits in the database, which then goes on. Exposes programs that
    leave the group before the order in their hands is done: it is done twice."""
    app = await lab.start("app")
    events = orders(lab.rng, 5)
    row = await lab.sink.hold("invoices", row={"order_id": events[3].id})
    await lab.send("orders", events, partition=lab.rng.choice(PARTITIONS))
    await lab.until(held(row), why="an invoice to be written")
    app.tell_to_stop()
    await lab.briefly(has_left(app) | ended(app), MOMENT_S)
    await row.release()
    await app.ended_within()
    await go_on(lab)


async def commit_takes_long(lab: Lab) -> None:
    """The database takes its time to commit an invoice, and SIGTERM comes meanwhile. Exposes
    programs that announce an invoice before it is durable."""
    app = await lab.start("app")
    events = orders(lab.rng, 3)
    commit = await lab.sink.hold("invoices", row={"order_id": events[1].id}, at="commit")
    _, sent, _ = await lab.send("orders", events, partition=lab.rng.choice(PARTITIONS))
    await lab.until(held(commit), why="an invoice to be committed")
    await lab.briefly(effect_of(sent, place="announcements"), MOMENT_S)
    app.tell_to_stop()
    await lab.briefly(has_left(app) | ended(app), MOMENT_S)
    await commit.release()
    await app.ended_within()
    await go_on(lab)


async def announcement_under_way(lab: Lab) -> None:
    """SIGTERM while announcements are on their way to Kafka, or still in the program. A program
    that commits all the same is killed there, and what is on its way when it ends is lost. Exposes
    programs that stop without waiting until Kafka has what they announce."""
    app = await lab.start("app")
    produce = lab.gateway.fault("Produce", times=None).hold()
    sent = [s for p in PARTITIONS for s in await lab.send("orders", orders(lab.rng, 3), p)]
    begun = effects_of(sent, at_least=1, place="invoices") | held(produce)
    await lab.until(begun, why="an invoice to be written")
    app.tell_to_stop()
    # Whoever has left with announcements on their way is about to end without them.
    if not await lab.briefly(ended(app), LONGER_S) and has_left(app).holds(lab.history):
        await lab.briefly(ended(app), MOMENT_S)
    if given_away(*sent).holds(lab.history):
        await app.kill()
    if ended(app).holds(lab.history):
        produce.drop()
    else:
        produce.release()
    await app.ended_within()
    await go_on(lab)


async def ended_too_early(lab: Lab) -> None:
    """An announcement is on its way to Kafka. A program that commits the order all the same is
    killed there, for it has said that nothing would be lost. Exposes programs that commit before
    Kafka has what they announce."""
    app = await lab.start("app")
    produce = lab.gateway.fault("Produce", times=None).hold()
    (sent,) = await lab.send("orders", orders(lab.rng, 1), lab.rng.choice(PARTITIONS))
    begun = effect_of(sent, place="invoices") | held(produce)
    await lab.until(begun, why="an invoice to be written")
    if await lab.briefly(given_away(sent), MOMENT_S):
        await app.kill()
        produce.drop()
        await lab.start("next")
    else:
        produce.release()
    await lab.settle()
    await lab.aftershock()


def given_away(*sent: Sent) -> Condition:
    """A commit has passed one of these orders for good, whether or not a transaction ends."""
    return Condition(
        f"a commit past {' or '.join(s.id for s in sent)}",
        lambda h: any(c.api == "OffsetCommit" and passes(c, s) for c in h.of(Commit) for s in sent),
    )


async def in_the_middle_of_a_batch(lab: Lab) -> None:
    """SIGTERM while one invoice of many that were handed over together waits in the database, which
    then goes on. Exposes programs that commit what a whole batch did, and stop in the middle of
    one."""
    sent = await lab.send("orders", orders(lab.rng, 25), partition=lab.rng.choice(PARTITIONS))
    row = await lab.sink.hold("invoices", row={"order_id": sent[lab.rng.randrange(8, 16)].id})
    app = await lab.start("app")
    await lab.until(held(row), why="an invoice in the middle to be written")
    app.tell_to_stop()
    await lab.briefly(has_left(app) | ended(app), MOMENT_S)
    await row.release()
    await app.ended_within()
    await go_on(lab)


async def commit_under_way(lab: Lab) -> None:
    """SIGTERM while a commit is on its way to Kafka; of a program with transactions, between
    its records and the end of its transaction. Exposes programs that end without waiting for the
    commit, or leave the transaction open."""
    app = await lab.start("app")
    commits = lab.commits(times=None).hold()
    sent = [s for p in PARTITIONS for s in await lab.send("orders", orders(lab.rng, 3), p)]
    await lab.until(effects_of(sent, at_least=1, place="invoices"), why="an invoice to be written")
    await lab.briefly(held(commits), MOMENT_S)
    app.tell_to_stop()
    await lab.briefly(ended(app), MOMENT_S)
    # A program that was killed by the signal, or commits by the clock, has not come so far.
    commits.release()
    await app.ended_within()
    await go_on(lab)


async def database_does_not_answer(lab: Lab) -> None:
    """SIGTERM while an invoice waits in the database for longer than the grace, or until the
    program has left its group. Exposes programs that wait as long as it takes, that commit the
    order that they gave up, and those that leave with an invoice under way."""
    app = await lab.start("app")
    partition = lab.rng.choice(PARTITIONS)
    sent = await lab.send("orders", orders(lab.rng, 5), partition)
    await lab.until(effects_of(sent, place="announcements"), why="the first orders to be done")
    last = order(lab.rng)
    row = await lab.sink.hold("invoices", row={"order_id": last.id})
    await lab.send("orders", [last], partition)
    await lab.until(held(row), why="the last invoice to be written")
    lab.promise(release_when_left(lab, app, row))
    await app.terminate()
    await row.drop()
    await go_on(lab)


async def release_when_left(lab: Lab, app: Instance, row: SinkFault) -> None:
    """Let a row go once the program has left its group, unless it ends before."""
    await lab.reached(has_left(app) | ended(app), within=GRACE_S)
    if has_left(app).holds(lab.history):
        await row.release()


async def orders_keep_coming(lab: Lab) -> None:
    """SIGTERM, and then one order after the other, each as soon as the one before has its invoice.
    Exposes programs that stop only when nothing is left to do."""
    app = await lab.start("app")
    partition = lab.rng.choice(PARTITIONS)
    sent = await lab.send("orders", orders(lab.rng, 3), partition)
    await lab.until(effects_of(sent, place="announcements"), why="the first orders to be done")
    app.tell_to_stop()
    for _ in range(ORDERS_AFTER):
        sent = await lab.send("orders", orders(lab.rng, 1), partition)
        written = effects_of(sent, place="invoices")
        await lab.briefly(written | ended(app), MOMENT_S)
        if not written.holds(lab.history):
            break
    await app.ended_within()
    await go_on(lab)


async def told_twice(lab: Lab) -> None:
    """SIGTERM while an invoice waits in the database, and twice more, each a moment later. Exposes
    programs whose second or third signal ends them on the spot."""
    app = await lab.start("app")
    events = orders(lab.rng, 5)
    row = await lab.sink.hold("invoices", row={"order_id": events[3].id})
    await lab.send("orders", events, partition=lab.rng.choice(PARTITIONS))
    await lab.until(held(row), why="an invoice to be written")
    for pause in (MOMENT_S / 2, MOMENT_S, MOMENT_S / 2):
        app.tell_to_stop()
        await lab.briefly(has_left(app) | ended(app), pause)
    await row.release()
    await app.ended_within()
    await go_on(lab)


async def while_it_starts(lab: Lab) -> None:
    """SIGTERM while the program starts and Kafka does not answer. Exposes programs that notice the
    signal only when they are at work."""
    silence = lab.gateway.fault(None, times=None).hold()
    app = await lab.start("app")
    await lab.until(applied(silence), why="the program to ask Kafka for something")
    await app.terminate()
    silence.drop()
    for partition in PARTITIONS:
        await lab.send("orders", orders(lab.rng, 3), partition)
    await go_on(lab)


async def in_the_middle_of_a_rebalance(lab: Lab) -> None:
    """SIGTERM while the group is rebalanced, because another instance has come. Exposes programs
    that can be stopped only while they own their partitions."""
    first = await lab.start("first")
    sent = [s for p in PARTITIONS for s in await lab.send("orders", orders(lab.rng, 3), p)]
    await lab.until(effects_of(sent, place="announcements"), why="the first orders to be done")
    # A program of several consumers has rebalances of its own as it starts, which undo a commit.
    for last in sent[2::3]:
        await lab.reached(committed_past(last), within=2.0)
    joining = await lab.start_to_join("second")
    rejoin = lab.gateway.fault(REJOIN, instance="first", times=None).hold()
    joining.release()
    # The first one hears of it by its next heartbeat, in 3 s by default.
    await lab.until(held(rejoin), why="the first instance to take part in the rebalance")
    first.tell_to_stop()
    await lab.briefly(ended(first), MOMENT_S)
    rejoin.release()
    await first.ended_within()
    await lab.settle()
    await lab.aftershock()


async def another_comes(lab: Lab) -> None:
    """Another instance comes while an invoice waits in the database. Exposes programs that let go
    of a partition while they have an order of it in their hands: it is done twice."""
    first = await lab.start("first")
    joining = await lab.start_to_join("second")
    second = lab.instances["second"]
    events = orders(lab.rng, 5)
    row = await lab.sink.hold("invoices", row={"order_id": events[2].id})
    await lab.send("orders", events, partition=lab.rng.choice(PARTITIONS))
    await lab.until(held(row), why="an invoice to be written")
    joining.release()
    # The first one hears of it by its next heartbeat, in 3 s by default.
    await lab.briefly(owns(second), JOINED_S)
    await row.release()
    await lab.until_shared(2, why=f"{first.name} and {second.name} to share the partitions")
    await lab.settle()
    await lab.aftershock()


async def another_takes_over(lab: Lab) -> None:
    """One of two instances gets SIGTERM in the middle of an order. Exposes programs that do not
    leave the group: their partitions lie idle until the session timeout."""
    await lab.start("first")
    await lab.start("second")
    await lab.until_shared(2, why="two instances to share the partitions")
    partition, name = lab.rng.choice(
        sorted((p, who) for (_, p), who in owners(lab.history).items())
    )
    stopping = lab.instances[name]
    events = orders(lab.rng, 4)
    row = await lab.sink.hold("invoices", row={"order_id": events[2].id})
    await lab.send("orders", events, partition)
    await lab.until(held(row), why="an invoice to be written")
    stopping.tell_to_stop()
    await lab.briefly(has_left(stopping) | ended(stopping), MOMENT_S)
    await row.release()
    await stopping.ended_within()
    await lab.settle()
    await lab.aftershock()


async def go_on(lab: Lab) -> None:
    """Another instance comes and does the rest."""
    await lab.start("next")
    await lab.settle()
    await lab.aftershock()
