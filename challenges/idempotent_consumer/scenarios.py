"""What happens to the program, and which mistake each story exposes."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from graders.conditions import (
    applied,
    committed_past,
    effect_of,
    effects_of,
    ended,
    group_stable,
    held,
    owners,
    waited_for,
)
from graders.lab import REFUSALS, Lab
from graders.spec import Event

PARTITIONS = (0, 1, 2)
# How long to wait for what nearly every program does at once. A program that never does it (it may
# try for a lock instead of waiting for one) is not to blame, so the story goes on without.
USUALLY_S = 8.0
# How long a program gets for what it need not do.
TEMPTATION_S = 1.0
# More cents than four bytes hold.
LARGE = 3_000_000_001


def expected(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every payment gets one ledger row with its account and amount."""
    return {"ledger": {"account": value["account"], "amount": value["amount"]}}


def fold(values: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Each account's balance is the sum of its payments."""
    sums: Counter[str] = Counter()
    for value in values:
        sums[value["account"]] += value["amount"]
    return {"balances": [{"account": a, "balance": b} for a, b in sorted(sums.items())]}


def payment(rng: random.Random, account: str | None = None, amount: int | None = None) -> Event:
    """A payment with an id of its own, on a drawn account, with a drawn amount other than zero."""
    id = f"pay-{rng.getrandbits(48):012x}"
    account = account or f"acc-{rng.randrange(6)}"
    amount = amount or rng.choice([-1, 1]) * rng.randrange(1, 50_000)
    return Event(id, account, {"id": id, "account": account, "amount": amount})


def payments(rng: random.Random, number: int) -> list[Event]:
    return [payment(rng) for _ in range(number)]


sentinel = payment


def inexact(rng: random.Random) -> int:
    """An amount in cents that is another one after a detour over euros as a float, cut to cents."""
    return rng.choice([cents for cents in range(1, 50_000) if int(cents / 100 * 100) != cents])


async def steady_run(lab: Lab) -> None:
    """No fault at all. Exposes programs that miss what was sent before they started, that read some
    partitions only, that commit the last offset instead of the next one, or that add up wrongly, if
    only large amounts."""
    early = [s for p in PARTITIONS for s in await lab.send("payments", payments(lab.rng, 10), p)]
    odd = [payment(lab.rng, amount=amount) for amount in (inexact(lab.rng), -LARGE)]
    early += await lab.send("payments", odd, 1)
    await lab.start("app")
    # A program that misses these must be there for the next, or it would only seem to be stuck.
    await lab.reached(effects_of(early), within=4.0)
    for partition in PARTITIONS:
        await lab.send("payments", payments(lab.rng, 10), partition)
    await lab.settle()
    await lab.aftershock()


async def duplicate_events(lab: Lab) -> None:
    """The producer sends the same payment again: next to the first, later, and on another
    partition. Exposes programs that recognise a record by its offset, or only the last few ids, or
    that look for what is booked before they book a batch which holds the payment twice."""
    events = payments(lab.rng, 12)
    await lab.send("payments", [event for event in events for _ in range(2)], partition=0)
    await lab.start("app")
    await lab.send("payments", events[6:], partition=1)
    await lab.send("payments", payments(lab.rng, 12), partition=2)
    await lab.send("payments", events[:6], partition=0)
    await lab.settle()
    await lab.aftershock()


async def late_duplicates(lab: Lab) -> None:
    """The same payments come again when 1200 others are booked. Exposes a memory of processed ids
    that is bounded, as a cache of the last 1000 is."""
    events = payments(lab.rng, 10)
    sent = await lab.send("payments", events, partition=0)
    await lab.start("app")
    await lab.until(effects_of(sent), why="the first payments to be booked")
    others = [s for p in PARTITIONS for s in await lab.send("payments", payments(lab.rng, 400), p)]
    # The first payments are forgotten only when all others came after them, however slowly.
    for number in range(50, len(others) + 1, 50):
        await lab.until(effects_of(others, at_least=number), why=f"{number} others to be booked")
    await lab.send("payments", events[:5], partition=0)
    await lab.send("payments", events[5:], partition=1)
    await lab.settle()
    await lab.aftershock()


async def equal_content(lab: Lab) -> None:
    """Different payments with the same account and amount. Exposes programs that recognise a
    payment by what it says instead of by its id."""
    twins = [payment(lab.rng, "acc-twins", 1_250) for _ in range(6)]
    await lab.send("payments", twins[:3], partition=0)
    await lab.start("app")
    await lab.send("payments", [*twins[3:5], *payments(lab.rng, 5)], partition=0)
    await lab.send("payments", twins[5:], partition=1)
    await lab.settle()
    await lab.aftershock()


async def crash_after_effect_before_commit(lab: Lab) -> None:
    """SIGKILL when a payment is booked and its offset is not committed. Exposes programs that do
    not recognise a redelivered payment."""
    sent = await lab.send("payments", payments(lab.rng, 20))
    commits = lab.commits(times=None).hold()
    app = await lab.start("app")
    await lab.until(effects_of(sent, at_least=1), why="a payment to be booked before its commit")
    await lab.reached(held(commits), within=0.5)
    await app.kill()
    # A program that commits on a timer has not come so far.
    commits.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def crash_before_effect(lab: Lab) -> None:
    """SIGKILL while the booking of a payment waits in the database, once an offset beyond it is
    committed or after 6 s, longer than the usual commit timer. Exposes whatever lets go of a
    payment before it is booked: a commit or a marker that comes first, a commit timer, a pool of
    workers that commits the highest finished offset."""
    sent = await lab.send("payments", payments(lab.rng, 12), partition=lab.rng.choice(PARTITIONS))
    victim = sent[lab.rng.randrange(3, 8)]
    booking = await lab.sink.hold("ledger", row={"event_id": victim.id})
    app = await lab.start("app")
    await lab.until(held(booking), why="the program to book a payment")
    await lab.reached(committed_past(victim), within=6.0)
    await app.kill()
    await booking.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def crash_between_ledger_and_balance(lab: Lab) -> None:
    """SIGKILL while the change of a balance waits in the database, which afterwards refuses it
    twice. Exposes programs that change ledger and balance in different transactions, and those that
    take it lightly when a balance is refused."""
    await lab.send("payments", payments(lab.rng, 6))
    victim = payment(lab.rng, "acc-victim")
    await lab.send("payments", [victim])
    update = await lab.sink.hold("balances", row={"account": "acc-victim"})
    app = await lab.start("app")
    await lab.until(held(update), why="the program to change a balance")
    await app.kill()
    await update.drop()
    refused = await lab.sink.fail("balances", "40001", row={"account": "acc-victim"}, times=2)
    await lab.start("app")
    await lab.reached(applied(refused, times=2), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def restart_forgets_memory(lab: Lab) -> None:
    """A graceful restart in the middle of a batch, then payments that were booked before it.
    Exposes programs that commit at the end what they did not come to, and those that remember in
    memory."""
    events = payments(lab.rng, 15)
    app = await lab.start("app")
    sent = await lab.send("payments", events)
    await lab.until(effects_of(sent), why="all payments to be booked")
    batch = payments(lab.rng, 12)
    booking = await lab.sink.hold("ledger", row={"event_id": batch[5].id})
    await lab.send("payments", batch, lab.rng.choice(PARTITIONS))
    await lab.until(held(booking), why="a payment in the middle to be booked")
    app.tell_to_stop()
    await lab.reached(ended(app), within=TEMPTATION_S)
    await booking.release()
    await app.ended_within()
    await lab.start("app")
    await lab.send("payments", events[:10])
    await lab.send("payments", [*events[10:], *payments(lab.rng, 5)], partition=0)
    await lab.settle()
    await lab.aftershock()


async def zombie(lab: Lab) -> None:
    """An instance is frozen in the middle of a booking, the group gives its partitions to another,
    then it goes on. Exposes programs that look first and book later, and memories that each
    instance has for itself."""
    sent = await lab.send("payments", payments(lab.rng, 12), partition=lab.rng.choice(PARTITIONS))
    victim = sent[lab.rng.randrange(2, 6)]
    booking = await lab.sink.hold("ledger", row={"event_id": victim.id})
    first = await lab.start("first")
    await lab.until(held(booking), why="the first instance to book a payment")
    second = await lab.replace(first, "second", len(PARTITIONS), booking)
    await lab.reached(effect_of(victim, by=second) | waited_for(booking), within=USUALLY_S)
    await first.thaw()
    await booking.release()
    await lab.settle()
    await lab.aftershock()


async def slow_booking_during_rebalance(lab: Lab) -> None:
    """A second instance joins while a booking waits in the database. If partitions move and a
    commit passes that booking, the first instance is killed. Exposes programs that commit or forget
    what is in flight."""
    sent = await lab.send("payments", payments(lab.rng, 12), partition=lab.rng.choice(PARTITIONS))
    victim = sent[lab.rng.randrange(3, 8)]
    booking = await lab.sink.hold("ledger", row={"event_id": victim.id})
    first = await lab.start("first")
    await lab.until(held(booking), why="the first instance to book a payment")
    await lab.start("second")
    # The first hears of the second by its next heartbeat, in 3 s by default. If it polls while it
    # books, it gives partitions up; if not, nothing moves until the booking is done.
    await lab.reached(committed_past(victim) | group_stable(2), within=6.0)
    if committed_past(victim).holds(lab.history):
        await first.kill()
        await booking.drop()
        await lab.start("first")
    await booking.release()
    await lab.until_shared(2, why="both instances to share the partitions")
    for partition in PARTITIONS:
        await lab.send("payments", payments(lab.rng, 4), partition)
    await lab.settle()
    await lab.aftershock()


async def two_instances_race(lab: Lab) -> None:
    """Two instances get the same payment at once, from two partitions; one waits with its booking
    written, another time with its commit. Exposes programs that ask whether a payment is booked,
    but have nothing that refuses the second booking, or let go of their lock too early."""
    await start_two(lab)
    for at in ("insert", "commit"):
        event = payment(lab.rng)
        booking = await lab.sink.hold("ledger", row={"event_id": event.id}, at=at)
        copies = [copy for p in PARTITIONS for copy in await lab.send("payments", [event], p)]
        await lab.until(held(booking), why="one instance to book the payment")
        await lab.reached(effect_of(copies[0]) | waited_for(booking), within=USUALLY_S)
        await booking.release()
        await lab.reached(effect_of(copies[0]), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def concurrent_balance(lab: Lab) -> None:
    """Two instances book different payments of one account at once, also its very first; one waits
    with its balance written, or with its ledger row alone. Exposes programs that read a
    balance, add to it in memory and write it back, and programs that take every collision for a
    repeat."""
    await start_two(lab)
    partitions = one_partition_each(lab)
    for table in ("balances", "ledger", "balances"):
        events = [payment(lab.rng, "acc-shared") for _ in partitions]
        row = {"account": "acc-shared"} if table == "balances" else {"event_id": events[0].id}
        write = await lab.sink.hold(table, row=row)
        sent = await lab.send("payments", events[:1], partitions[0])
        await lab.until(held(write), why="one instance to write")
        for partition, event in zip(partitions[1:], events[1:], strict=True):
            sent += await lab.send("payments", [event], partition)
        await lab.reached(waited_for(write) | effects_of(sent, at_least=1), within=USUALLY_S)
        await write.release()
        await lab.reached(effects_of(sent), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def database_error(lab: Lab) -> None:
    """The database refuses one booking many times in a row, and one commit, as it does when
    transactions collide; SIGKILL when the program has committed past a booking that it has not
    made. Exposes programs that log the error and go on to the next payment, at once or after a few
    attempts, and those that keep it in memory for later."""
    sent = await lab.send("payments", payments(lab.rng, 16))
    first, second = lab.rng.sample(sent, 2)
    insert = await lab.sink.fail("ledger", "40001", row={"event_id": first.id}, times=REFUSALS)
    commit = await lab.sink.fail("ledger", "40001", row={"event_id": second.id}, at="commit")
    app = await lab.start("app")
    await lab.until(applied(insert), within=15, why="a booking to be refused")
    # A program that goes on after the first refusal does not meet the others.
    await lab.outlast(insert, over=committed_past(first))
    await lab.until(applied(commit), within=15, why="a commit to be refused")
    await lab.reached(effect_of(first) | committed_past(first), within=USUALLY_S)
    if committed_past(first).holds(lab.history) and not effect_of(first).holds(lab.history):
        await app.kill()
        await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def start_two(lab: Lab) -> None:
    await lab.start("first")
    await lab.start("second")
    await lab.until_shared(2, why="two instances to share the partitions")


def one_partition_each(lab: Lab) -> list[int]:
    """One partition of each instance."""
    owned = {owner: partition for (_, partition), owner in owners(lab.history).items()}
    return list(owned.values())
