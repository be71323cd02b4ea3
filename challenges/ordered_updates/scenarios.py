"""What happens to the program, and which mistake each story exposes."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graders.checks.reb import FINISHED_S
from graders.conditions import (
    Condition,
    applied,
    committed_past,
    committed_past_all,
    effect_of,
    effects_of,
    ended,
    group_stable,
    held,
    owners,
    owns,
    waited_for,
)
from graders.facts import Sent
from graders.lab import REFUSALS, Lab
from graders.sink import SinkFault
from graders.spec import Event

PARTITIONS = (0, 1, 2, 3)
# How long to wait for what nearly every program does at once. A program that never does it is not
# to blame, so the story goes on without.
USUALLY_S = 8.0
# How long most programs take to commit what is done.
COMMITS_S = 4.0
# How long a program gets for what it may not do.
TEMPTATION_S = 1.5
# Longer than a client is patient that somebody has made impatient; below the statement's 20 s.
ON_ITS_WAY_S = 6.0
# Longer than the 10 s that many programs wait for an answer; below the 20 s, too.
PATIENT_S = 12.0
# The first instance hears of a second by its next heartbeat, and may wait a little for what is
# under way in the partitions that it gives up.
GIVES_UP_S = 6.0
# Longer than most timers that programs commit by: after such a commit a new period begins.
TIMER_S = 6.0
HEARTBEATS = ("Heartbeat", "ConsumerGroupHeartbeat")
APPLIED, UPDATES = "applied", "updates"
OWN_TABLES = 4  # that refuse a change: who ends at each is started again five times
# The version up to which the new owner of an item is left alone with it.
TURN = 20
# So many changes may lie behind one that waits, and the others must go on.
BEHIND = 60
# Nothing left, no difference to the version before, and more than 32 bits.
BORDERS = (7, 0, 0, 2**31)
# Who ends at each turn has by then ended more often than it is started again.
TURNS = 7


def expected(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every change gets one row and, at least once, a record with the same values."""
    content = {name: value[name] for name in ("item", "version", "stock")}
    return {APPLIED: content, UPDATES: content}


def fold(values: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """There is no table of state."""
    return {}


def new_item(rng: random.Random) -> str:
    return f"item-{rng.getrandbits(32):08x}"


def change(rng: random.Random, item: str, version: int) -> Event:
    """A change of an item, with an id of its own and a drawn stock."""
    id = f"chg-{rng.getrandbits(48):012x}"
    value = {"id": id, "item": item, "version": version, "stock": rng.randrange(1000)}
    return Event(id, item, value)


def changes(rng: random.Random, item: str, versions: Iterable[int]) -> list[Event]:
    return [change(rng, item, version) for version in versions]


def bordering(rng: random.Random) -> list[Event]:
    """The first changes of a new item, with stocks at the borders of what is allowed."""
    events = changes(rng, new_item(rng), range(1, len(BORDERS) + 1))
    pairs = zip(events, BORDERS, strict=True)
    return [replace(event, value={**event.value, "stock": stock}) for event, stock in pairs]


def sentinel(rng: random.Random) -> Event:
    """The first change of a new item, which may lie in any partition."""
    return change(rng, new_item(rng), 1)


def mixed(rng: random.Random, rows: Sequence[Sequence[Event]]) -> list[Event]:
    """Several items' changes, drawn from their rows in turn; each item's keep their order."""
    left = [list(row) for row in rows if row]
    found = []
    while left:
        row = rng.choice(left)
        found.append(row.pop(0))
        left = [row for row in left if row]
    return found


def mixed_items(rng: random.Random, items: Sequence[str], versions: range) -> list[Event]:
    return mixed(rng, [changes(rng, item, versions) for item in items])


def some_items(rng: random.Random, number: int) -> list[str]:
    return [new_item(rng) for _ in range(number)]


async def quiet_day(lab: Lab) -> None:
    """No fault at all. Exposes programs that miss what was sent before they started, that write
    without the item as key, that let a pool of workers take any change next, or that leave out a
    stock of 0 or one that is the same as before."""
    items = {p: some_items(lab.rng, 4) for p in PARTITIONS}
    early = await lab.send("changes", bordering(lab.rng), lab.rng.choice(PARTITIONS))
    for partition, some in items.items():
        early += await lab.send("changes", mixed_items(lab.rng, some, range(1, 6)), partition)
    await lab.start("app")
    # A program that misses these must be there for the next, or it would only seem to be stuck.
    await lab.reached(effects_of(early, place=UPDATES), within=4.0)
    for partition, some in items.items():
        await lab.send("changes", mixed_items(lab.rng, some, range(6, 9)), partition)
    await lab.settle()
    await lab.aftershock()


async def sent_twice(lab: Lab) -> None:
    """The producer sends changes again: right after the first, and behind later versions. Exposes
    programs that apply a change twice, or that remember only the last one."""
    partition = lab.rng.choice(PARTITIONS)
    rows = [changes(lab.rng, item, range(1, 7)) for item in some_items(lab.rng, 3)]
    await lab.send("changes", [copy for row in rows for e in row[:3] for copy in (e, e)], partition)
    await lab.start("app")
    again = [[row[3], row[0], row[4], row[1], row[4], row[5], row[2]] for row in rows]
    await lab.send("changes", mixed(lab.rng, again), partition)
    await lab.settle()
    await lab.aftershock()


async def slow_item(lab: Lab) -> None:
    """One item's change waits in the database, and many more of the item behind it; others of its
    partition arrive before and after that. Exposes programs in which they wait too, in which the
    item's next change overtakes, which publish what is not committed yet, and which take up no more
    while so many records are not done."""
    partition = lab.rng.choice(PARTITIONS)
    slow, *others = some_items(lab.rng, 13)
    first, second = (mixed_items(lab.rng, others, range(v, v + 1)) for v in (1, 2))
    row = changes(lab.rng, slow, range(1, 3 + BEHIND - len(second)))
    early, late = second[: len(others) // 2], second[len(others) // 2 :]
    change_held = await lab.sink.hold(APPLIED, row={"change_id": row[1].id})
    sent = await lab.send("changes", [*first, *row, *early], partition)
    await lab.start("app")
    await lab.until(held(change_held), why="the program to apply a change")
    sent += await lab.send("changes", late, partition)
    await lab.beside(change_held, [s for s in sent if s.key != slow], within=8.0)
    await change_held.release()
    await lab.settle()
    await lab.aftershock()


async def slow_commit(lab: Lab) -> None:
    """The commit of a change waits in the database, when its statements are through. Exposes
    programs that publish inside the transaction."""
    partition = lab.rng.choice(PARTITIONS)
    slow, *others = some_items(lab.rng, 4)
    row = changes(lab.rng, slow, range(1, 7))
    commit_held = await lab.sink.hold(APPLIED, row={"change_id": row[2].id}, at="commit")
    events = mixed(lab.rng, [row, mixed_items(lab.rng, others, range(1, 4))])
    sent = {s.id: s for s in await lab.send("changes", events, partition)}
    await lab.start("app")
    await lab.until(held(commit_held), why="the program to commit a change")
    await lab.reached(effect_of(sent[row[2].id], place=UPDATES), within=TEMPTATION_S)
    await commit_held.release()
    await lab.settle()
    await lab.aftershock()


async def refused_change(lab: Lab) -> None:
    """The database refuses one change many times in a row, and one commit, while the items' next
    changes are there. Exposes programs that log the error and go on, and retries beside the main
    path that let the next change overtake."""
    partition = lab.rng.choice(PARTITIONS)
    rows = [changes(lab.rng, item, range(1, 7)) for item in some_items(lab.rng, 5)]
    first, second = rows[0][1], rows[1][2]
    insert = await lab.sink.fail(APPLIED, "40001", row={"change_id": first.id}, times=REFUSALS)
    commit = await lab.sink.fail(APPLIED, "40001", row={"change_id": second.id}, at="commit")
    await lab.send("changes", mixed(lab.rng, rows), partition)
    await lab.start("app")
    await lab.until(applied(insert), within=15, why="a change to be refused")
    # A program that goes on after the first refusal does not meet the others.
    await lab.outlast(insert)
    await lab.until(applied(commit), within=15, why="a commit to be refused")
    await lab.settle()
    await lab.aftershock()


async def own_tables_refuse(lab: Lab) -> None:
    """The database refuses the first change of a row in each table of the program's own, once it is
    at work. Exposes programs in which a thread or task that publishes ends, and nobody sees."""
    await lab.start("app")
    first = changes(lab.rng, new_item(lab.rng), range(1, 3))
    await lab.reached(effects_of(await lab.send("changes", first), place=UPDATES), USUALLY_S)
    refusals = await lab.sink.fail_changes(OWN_TABLES)
    rows = [changes(lab.rng, item, range(1, 5)) for item in some_items(lab.rng, 3)]
    sent = await lab.send("changes", mixed(lab.rng, rows))
    await lab.reached(effects_of(sent, place=UPDATES), within=USUALLY_S)
    for refusal in refusals:
        await refusal.cancel()
    await lab.settle()
    await lab.aftershock()


async def crash_in_flight(lab: Lab) -> None:
    """SIGKILL while one change in each of two partitions waits in the database, once what lies
    behind them is done and an offset beyond one is committed, or after 6 s. Exposes whatever lets
    go of a change before it is applied: a commit of the highest finished offset, a commit timer, a
    queue in memory."""
    holds, slow, others = [], [], []
    for partition in lab.rng.sample(PARTITIONS, 2):
        victim, *some = some_items(lab.rng, 6)
        row = changes(lab.rng, victim, range(1, 5))
        holds.append(await lab.sink.hold(APPLIED, row={"change_id": row[1].id}))
        events = [*row[:2], *mixed(lab.rng, [row[2:], mixed_items(lab.rng, some, range(1, 4))])]
        sent = await lab.send("changes", events, partition)
        slow.append(sent[1])
        others += [s for s in sent if s.key != victim]
    app = await lab.start("app")
    await lab.until(held(holds[0]) | held(holds[1]), why="the program to apply a change")
    await lab.reached(effects_of(others, place=UPDATES), within=3.0)
    await lab.reached(committed_past(slow[0]) | committed_past(slow[1]), within=6.0)
    await app.kill()
    for hold in holds:
        await hold.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def crash_before_publishing(lab: Lab) -> None:
    """SIGKILL when a change is applied and nothing was published, once its offset is committed or
    after 12 s; another instance takes its place. It is the only change of its item. Exposes
    programs that commit before the broker has what they wrote, or when they have waited for it long
    enough, that pass over a change that they find applied, that publish what a crash left only with
    the item's next change, and those in which only the instance that has taken up a change
    publishes it."""
    partition = lab.rng.choice(PARTITIONS)
    events = mixed_items(lab.rng, some_items(lab.rng, 4), range(1, 6))
    sent = await lab.send("changes", [change(lab.rng, new_item(lab.rng), 1), *events], partition)
    writes = lab.gateway.fault("Produce", topic=lab.topic(UPDATES), times=None).hold()
    app = await lab.start("app")
    await lab.until(effects_of(sent, 1, APPLIED), why="a change to be applied")
    await lab.until(held(writes), why="a change to be published")
    await lab.reached(committed_past(sent[0]), within=PATIENT_S)
    await app.kill()
    writes.drop()
    await lab.start("another")
    await lab.settle()
    await lab.aftershock()


async def killed_at_each_commit(lab: Lab) -> None:
    """SIGKILL when the database has committed, before the program hears of it, and again at the
    next commit of its next life, about the only change of an item; twice. Exposes programs that
    write the change, and what is to be published of it, in two transactions."""
    app = await lab.start("app")
    for partition in lab.rng.sample(PARTITIONS, 2):
        commit = lab.database_commits(app).hold_response()
        sent = await lab.send("changes", [change(lab.rng, new_item(lab.rng), 1)], partition)
        published = effects_of(sent, place=UPDATES)
        await lab.kill_at_commits(app, commit, published)
        await lab.reached(published, within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def batch_refused(lab: Lab) -> None:
    """The broker refuses one batch with an error that passes, while the next ones are on their way,
    and another one after some seconds. Exposes producers that send a batch again behind later ones,
    and those that do not send it again, or only for a while."""
    partition = lab.rng.choice(PARTITIONS)
    item = new_item(lab.rng)
    sent = await lab.send("changes", changes(lab.rng, item, range(1, 4)), partition)
    await lab.start("app")
    await lab.until(effects_of(sent, place=UPDATES), why="the first changes to be published")
    for turn in range(2):
        write = lab.gateway.fault("Produce", topic=lab.topic(UPDATES))
        refused = write.hold_error("NOT_LEADER_OR_FOLLOWER")
        first = 4 + 12 * turn
        sent = await lab.send(
            "changes", changes(lab.rng, item, range(first, first + 12)), partition
        )
        await lab.until(held(refused), why="the program to publish a change")
        # A program that waits for each answer has only one change on its way.
        await lab.reached(effects_of(sent, 8, APPLIED), within=TEMPTATION_S)
        if turn:  # it is in nobody's power to publish all now, so this is how long it takes
            await lab.reached(effects_of(sent, place=UPDATES), within=ON_ITS_WAY_S)
        refused.release()
        await lab.reached(effects_of(sent, place=UPDATES), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def connections_break(lab: Lab) -> None:
    """A connection breaks before the broker has got a batch, another one after that. Exposes
    programs that do not look at what became of a write."""
    partition = lab.rng.choice(PARTITIONS)
    items = some_items(lab.rng, 3)
    sent = await lab.send("changes", mixed_items(lab.rng, items, range(1, 4)), partition)
    await lab.start("app")
    await lab.until(effects_of(sent, place=UPDATES), why="the first changes to be published")
    for turn, break_off in enumerate(("cut", "cut_response")):
        fault = getattr(lab.gateway.fault("Produce", topic=lab.topic(UPDATES)), break_off)()
        versions = range(4 + 4 * turn, 8 + 4 * turn)
        sent = await lab.send("changes", mixed_items(lab.rng, items, versions), partition)
        await lab.until(applied(fault), why="the program to publish a change")
        await lab.reached(effects_of(sent, place=UPDATES), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def another_joins(lab: Lab) -> None:
    """A second instance joins while a change in each partition waits in the database, with more of
    its item behind it. If partitions move at once, the two are made to take turns at what moved.
    Exposes programs that go on with a partition that has been taken from them, or that commit or
    forget what is in flight."""
    await lab.start("first")
    joining = await lab.start_to_join("second")
    rows = {p: changes(lab.rng, new_item(lab.rng), range(1, 41)) for p in PARTITIONS}
    holds = [await hold_write(lab, row[1]) for row in rows.values()]
    next_turn = []
    for partition, row in rows.items():
        others = mixed_items(lab.rng, some_items(lab.rng, 3), range(1, 4))
        events = [*row[:2], *mixed(lab.rng, [row[2:], others])]
        sent = await lab.send("changes", events, partition)
        next_turn += [s for s in sent if s.id == row[TURN].id]
    await lab.until(waiting(holds, 1), why="the first instance to apply a change")
    joining.release()
    # If it waits for what is under way before it gives partitions up, nothing moves until then.
    if await lab.reached(group_stable(2), within=GIVES_UP_S):
        turns = [await hold_write(lab, row[TURN - 1]) for row in rows.values()]
        await take_turns(lab, holds, turns, next_turn)
    await release(holds)
    await lab.until_shared(2, why="both instances to share the partitions")
    for partition, row in rows.items():
        await lab.send("changes", changes(lab.rng, row[0].value["item"], range(41, 44)), partition)
    await lab.settle()
    await lab.aftershock()


async def another_leaves(lab: Lab) -> None:
    """One of two instances is told to stop, while a change of the other one waits in the database;
    then more changes come. If a commit passes the one that waits, the other one is killed. Exposes
    programs that forget at a rebalance what they have in hand of a partition that they keep."""
    first, second = await lab.start("first"), await lab.start("second")
    await lab.until_shared(2, why="both instances to share the partitions")
    mine = [p for (_, p), who in owners(lab.history).items() if who == "first"] or list(PARTITIONS)
    partition = lab.rng.choice(sorted(mine))
    slow, *others = some_items(lab.rng, 5)
    row = changes(lab.rng, slow, range(1, 4))
    hold = await hold_write(lab, row[1])
    sent = await lab.send("changes", row, partition)
    await lab.until(held(hold), why="the first instance to apply a change")
    await second.terminate()
    # Whoever waits for what is under way before a rebalance takes nothing over yet.
    await lab.reached(owns(first, len(PARTITIONS)), within=USUALLY_S)
    more = await lab.send("changes", mixed_items(lab.rng, others, range(1, 4)), partition)
    await lab.reached(effects_of(more, place=UPDATES), within=USUALLY_S)
    if await lab.reached(committed_past(sent[1]), within=COMMITS_S):
        await first.kill()
        await hold.drop()
        await lab.start("first")
    await hold.release()
    await lab.settle()
    await lab.aftershock()


async def take_turns(
    lab: Lab, first_turn: Sequence[SinkFault], turns: Sequence[SinkFault], next_turn: Sequence[Sent]
) -> None:
    """Two of the four partitions have moved while the first instance has a change of each in work.
    It is kept from publishing that until the second has worked its way to the change of the turn;
    there the two meet, and then the second is kept from publishing: if the first goes on with what
    it was given before, the next change is its own."""
    write: Mapping[str, Any] = {"api": "Produce", "topic": lab.topic(UPDATES), "times": None}
    by_first = lab.gateway.fault(**write, instance="first").hold()
    await release(first_turn)
    await lab.reached(waiting(turns, 2), within=USUALLY_S)
    by_first.release()
    await lab.reached(contested(turns, 2), within=4.0)
    by_second = lab.gateway.fault(**write, instance="second").hold()
    await release(turns)
    await lab.reached(effects_of(next_turn, place=APPLIED), within=4.0)
    by_second.release()


async def hold_write(lab: Lab, event: Event) -> SinkFault:
    """Hold the row of a change."""
    return await lab.sink.hold(APPLIED, row={"change_id": event.id})


async def release(holds: Sequence[SinkFault]) -> None:
    for hold in holds:
        await hold.release()


def waiting(holds: Sequence[SinkFault], number: int) -> Condition:
    """So many changes are held."""
    return Condition("a change to be held", lambda _: sum(h.held for h in holds) >= number)


def contested(holds: Sequence[SinkFault], number: int) -> Condition:
    """Another session waits for so many of the changes that are held."""
    return Condition("a session to wait", lambda _: sum(h.waited_for for h in holds) >= number)


async def prompt_handover(lab: Lab) -> None:
    """A second instance joins when more changes were done just after a commit, and the first hears
    of it two seconds later; then the two are given one change each, in turn. Exposes programs that
    commit by the clock alone or when nothing has come for a while, so that what is finished is
    handed to the next owner again, and instances that fence each other."""
    await lab.start("first")
    joining = await lab.start_to_join("second")
    first = {p: mixed_items(lab.rng, some_items(lab.rng, 3), range(1, 4)) for p in PARTITIONS}
    more = {p: [sentinel(lab.rng)] for p in PARTITIONS}
    await lab.briefly(committed_past_all(await send_until_published(lab, first)), within=TIMER_S)
    sent = await send_until_published(lab, more)
    heartbeats = lab.gateway.fault(HEARTBEATS, instance="first", times=None).hold()
    joining.release()
    await lab.briefly(committed_past_all(sent), within=FINISHED_S + 0.1)
    heartbeats.release()
    await lab.until_shared(2, why="both instances to share the partitions")
    await alternate(lab)
    await lab.settle()
    await lab.aftershock()


async def alternate(lab: Lab) -> None:
    """One change after the other, for a partition of one instance and of the other in turn. Who
    ends at it gets the time to come back."""
    for who in ("first", "second") * TURNS:
        await lab.reached(group_stable(2), within=USUALLY_S)
        partition = next((p for (_, p), owner in owners(lab.history).items() if owner == who), 0)
        sent = await lab.send("changes", [sentinel(lab.rng)], partition)
        await lab.reached(effects_of(sent, place=UPDATES), within=USUALLY_S)


async def given_back(lab: Lab) -> None:
    """A second instance takes over partitions while a change in each waits in the database, does
    more of the items that the first one knows, and is told to stop; then one item of each goes on,
    and one comes again. Exposes programs that still know of an item or of an offset what they knew
    when they lost its partition."""
    first = await lab.start("first")
    rows = {
        p: [changes(lab.rng, item, range(1, 7)) for item in some_items(lab.rng, 2)]
        for p in PARTITIONS
    }
    await send_until_published(lab, parts(lab.rng, rows, slice(0, 2)))
    slow = {p: changes(lab.rng, new_item(lab.rng), range(1, 4)) for p in PARTITIONS}
    holds = [await hold_write(lab, row[0]) for row in slow.values()]
    for partition, row in slow.items():
        await lab.send("changes", row, partition)
    await lab.until(waiting(holds, 1), why="the first instance to apply a change")
    second = await lab.start("second")
    await lab.reached(group_stable(2), within=GIVES_UP_S)
    await release(holds)
    await lab.until_shared(2, why="both instances to share the partitions")
    await send_until_published(lab, parts(lab.rng, rows, slice(2, 4)))
    await second.terminate()
    await lab.until(owns(first, len(PARTITIONS)), within=15, why="the first to have all again")
    for partition, (goes_on, again) in rows.items():
        await lab.send("changes", mixed(lab.rng, [goes_on[4:], again[2:]]), partition)
    await lab.settle()
    await lab.aftershock()


def parts(
    rng: random.Random, rows: Mapping[int, Sequence[Sequence[Event]]], part: slice
) -> dict[int, list[Event]]:
    """A part of the changes of each item, by partition."""
    return {p: mixed(rng, [row[part] for row in some]) for p, some in rows.items()}


async def send_until_published(lab: Lab, events: Mapping[int, Sequence[Event]]) -> list[Sent]:
    """Send changes, by partition, and wait until the program has published them."""
    sent = [s for p, some in events.items() for s in await lab.send("changes", some, p)]
    await lab.until(effects_of(sent, place=UPDATES), why="the changes to be published")
    return sent


async def late_write(lab: Lab) -> None:
    """What an instance publishes does not arrive; the item's next changes come, and the instance is
    frozen and replaced. The write arrives when the other one has published later changes, or after
    5 s. Exposes relays that pass over what another relay is at, or that know only the changes of
    their own instance."""
    partition = lab.rng.choice(PARTITIONS)
    row = changes(lab.rng, new_item(lab.rng), range(1, 10))
    write = lab.gateway.fault("Produce", topic=lab.topic(UPDATES)).hold()
    await lab.send("changes", row[:1], partition)
    first = await lab.start("first")
    await lab.until(held(write), within=15, why="the first instance to publish a change")
    later = await lab.send("changes", row[1:5], partition)
    await lab.reached(effects_of(later, 1, UPDATES), within=TEMPTATION_S)
    await first.freeze()
    second = await lab.start("second")
    await first.evict()
    later += await lab.send("changes", row[5:], partition)
    # Whoever publishes under a lock that the first has may wait for it with all that it does.
    await lab.reached(owns(second, len(PARTITIONS)), within=USUALLY_S)
    await lab.reached(effects_of(later, 1, UPDATES), within=5.0)
    write.release()
    await first.thaw()
    await lab.settle()
    await lab.aftershock()


async def zombie(lab: Lab) -> None:
    """An instance is frozen while it applies a change, the group gives its partitions to another,
    then it goes on. Exposes programs that look first and apply later, and memories that each
    instance has for itself."""
    partition = lab.rng.choice(PARTITIONS)
    slow, *others = some_items(lab.rng, 4)
    row = changes(lab.rng, slow, range(1, 13))
    hold = await lab.sink.hold(APPLIED, row={"change_id": row[1].id})
    events = [*row[:2], *mixed(lab.rng, [row[2:], mixed_items(lab.rng, others, range(1, 5))])]
    sent = await lab.send("changes", events, partition)
    first = await lab.start("first")
    await lab.until(held(hold), why="the first instance to apply a change")
    second = await lab.replace(first, "second", len(PARTITIONS), hold)
    await lab.reached(effect_of(sent[1], by=second) | waited_for(hold), within=USUALLY_S)
    await first.thaw()
    await hold.release()
    await lab.settle()
    await lab.aftershock()


async def restarted(lab: Lab) -> None:
    """A graceful restart in the middle of the work, and another while a change waits in the
    database; then changes that were applied before. Exposes programs that keep the versions in
    memory, that end before the broker has what they wrote, and that commit at the end what they did
    not come to."""
    rows = [changes(lab.rng, item, range(1, 13)) for item in some_items(lab.rng, 6)]
    sent = await lab.send("changes", mixed(lab.rng, [row[:8] for row in rows]), partition=1)
    app = await lab.start("app")
    await lab.until(effects_of(sent, 15, APPLIED), why="some changes to be applied")
    await app.terminate()
    hold = await hold_write(lab, rows[0][8])
    await lab.start("app")
    await lab.send("changes", mixed(lab.rng, [row[8:10] for row in rows]), partition=1)
    await lab.until(held(hold), why="the program to apply another change")
    app.tell_to_stop()
    await lab.reached(ended(app), within=TEMPTATION_S)
    await hold.release()
    await app.ended_within()
    await lab.start("app")
    again = [[row[10], *row[2:5], row[11], *row[:2]] for row in rows]
    await lab.send("changes", mixed(lab.rng, again), partition=1)
    await lab.settle()
    await lab.aftershock()


async def busy_day(lab: Lab) -> None:
    """Four hundred changes of forty items, then nothing. Exposes programs that read the topic again
    for each change, and programs that never rest."""
    await lab.start("app")
    for partition in PARTITIONS:
        events = mixed_items(lab.rng, some_items(lab.rng, 10), range(1, 11))
        await lab.send("changes", events, partition)
    await lab.settle()
    await lab.idle(2.0)
    await lab.aftershock()
