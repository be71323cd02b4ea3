"""What happens to the program, and which mistake each story exposes."""

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from challenges.transactional_outbox.office import Office, elsewhere, published
from graders.conditions import (
    Condition,
    applied,
    committed_past,
    effect_of,
    effects_of,
    held,
    waited_for,
)
from graders.facts import Effect, Marked, Sent
from graders.facts import Fault as FaultFact
from graders.lab import REFUSALS, Lab
from graders.sink import SinkFault
from graders.spec import Event
from sandbox.gateway import Fault, FaultBuilder

OUTBOX, EVENTS = "outbox", "events"
PARTITIONS = 3
# A program connects within 10 s, and publishes within 4 s.
STARTED_S = 15.0
# How long to wait for what nearly every program does at once. A program that never does it is not
# to blame, so the story goes on without.
USUALLY_S = 8.0
# How long a program gets for what it may not do, or need not.
TEMPTATION_S = 1.5
COMMIT_TIMER_S = 6.0  # longer than the usual one


def expected(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every command is one row of the outbox; its version depends on who else was there."""
    return {OUTBOX: {"booking": value["booking"], "seats": value["seats"]}}


def tally(effects: Sequence[Effect]) -> dict[str, list[dict[str, Any]]]:
    """Each booking has as many versions as rows, and the seats of the last one."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for effect in effects:
        rows.setdefault(effect.content["booking"], []).append(effect.content)
    return {
        "bookings": [
            {
                "booking": booking,
                "version": len(changes),
                "seats": max(changes, key=lambda row: row["version"])["seats"],
            }
            for booking, changes in rows.items()
        ]
    }


def fold(values: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """What the bookings are is not for the commands alone to say: see `tally`."""
    return {}


def new_booking(rng: random.Random) -> str:
    return f"bkg-{rng.getrandbits(32):08x}"


def some_bookings(rng: random.Random, number: int) -> list[str]:
    return [new_booking(rng) for _ in range(number)]


def command(rng: random.Random, booking: str, seats: int | None = None) -> Event:
    """A command about a booking, with an id of its own and drawn seats."""
    id = f"cmd-{rng.getrandbits(48):012x}"
    seats = rng.randrange(9) if seats is None else seats
    return Event(id, booking, {"id": id, "booking": booking, "seats": seats})


def commands(rng: random.Random, bookings: Sequence[str]) -> list[Event]:
    """A command about each of these bookings, in this order."""
    return [command(rng, booking) for booking in bookings]


def sentinel(rng: random.Random) -> Event:
    """The first command about a new booking, which may lie in any partition."""
    return command(rng, new_booking(rng))


def writes(lab: Lab, **match: Any) -> FaultBuilder:
    """The program's writes of events, as the target of a fault."""
    return lab.gateway.fault("Produce", topic=lab.topic(EVENTS), **match)


async def quiet_day(lab: Lab) -> None:
    """No fault at all; commands and the back office take turns. Exposes programs that publish only
    their own changes, that miss what was there before they started or is hours old, that write
    without the booking as key, and that take two commands of the same content for one."""
    before, *bookings = some_bookings(lab.rng, 5)
    async with Office(lab) as office:
        early = await office.change(before, lab.rng.randrange(9), age=timedelta(hours=9))
        await office.change(bookings[0], lab.rng.randrange(9))
        sent = await lab.send("commands", commands(lab.rng, bookings))
        await lab.start("app")
        # A program that misses these must be there for the next, or it would only seem to be stuck.
        await lab.reached(effects_of(sent) & early.published, within=USUALLY_S)
        for booking in bookings:
            await office.change(booking, lab.rng.randrange(9))
            alike = lab.rng.randrange(9)
            await lab.send("commands", [command(lab.rng, booking, alike) for _ in range(2)])
        await lab.settle()
        await lab.aftershock()


async def late_commit(lab: Lab) -> None:
    """The back office draws two ids. It commits one when a row with a higher id has been published
    and the program has not yet heard so, the other when it has heard so and gone on to later rows.
    Exposes programs that publish what lies behind the last id, also those that look for a gap
    before they go on, and those that mark everything up to it."""
    late, very_late, other = some_bookings(lab.rng, 3)
    async with Office(lab) as office:
        first = await office.change(other, lab.rng.randrange(9))
        await lab.start("app")
        await lab.until(first.published, STARTED_S, "the first change to be published")
        one, two = await office.begin(), await office.begin()
        await one.change(late, lab.rng.randrange(9))
        await two.change(very_late, lab.rng.randrange(9))
        answer = writes(lab).hold_response()
        behind = await office.change(other, lab.rng.randrange(9))
        # Who waits for all older transactions publishes nothing now, and is right too.
        await lab.reached(behind.published, within=TEMPTATION_S)
        await one.commit()
        answer.release()
        for _ in range(2):
            behind = await office.change(other, lab.rng.randrange(9))
            await lab.reached(behind.published, within=TEMPTATION_S)
        await two.commit()
        await lab.settle()
        await lab.aftershock()


async def rolled_back(lab: Lab) -> None:
    """A transaction of the back office is rolled back, so its id is missing for ever, and the
    database refuses the commit of a command many times; a transaction of another database is open
    all the time. Exposes programs that wait for missing ids or for any transaction, and those that
    go on after a refusal, or after some."""
    async with Office(lab) as office, elsewhere(lab):
        await lab.start("app")
        gone = await office.begin()
        await gone.change(new_booking(lab.rng), lab.rng.randrange(9))
        behind = await office.change(new_booking(lab.rng), lab.rng.randrange(9))
        await gone.rollback()
        bookings = some_bookings(lab.rng, 2)
        events = commands(lab.rng, [*bookings, *bookings])
        refused = await refuse_commit(lab, events[0], REFUSALS)
        await lab.send("commands", events)
        await lab.until(applied(refused), STARTED_S, "the program to commit a change")
        # A program that goes on after the first refusal does not meet the others.
        await lab.outlast(refused)
        await lab.reached(behind.published, within=USUALLY_S)
        await lab.settle()
        await lab.aftershock()


async def refuse_commit(lab: Lab, event: Event, times: int) -> SinkFault:
    """Refuse the commit of a command's change so many times."""
    return await lab.sink.fail(OUTBOX, row={"change_id": event.id}, times=times, at="commit")


async def one_booking(lab: Lab) -> None:
    """While the program publishes something else, a booking gets two versions, the later one by a
    transaction that had begun first: its id and its time are lower. Exposes programs that publish
    in the order of ids or of times."""
    booking, other = some_bookings(lab.rng, 2)
    async with Office(lab) as office:
        first = await office.change(other, lab.rng.randrange(9))
        await lab.start("app")
        await lab.until(first.published, STARTED_S, "the first change to be published")
        begun_first = await office.begin()
        write = writes(lab).hold()
        await office.change(other, lab.rng.randrange(9))
        await lab.reached(held(write), within=TEMPTATION_S)
        await office.change(booking, lab.rng.randrange(9))
        await begun_first.change(booking, lab.rng.randrange(9))
        await begun_first.commit()
        write.release()
        await lab.settle()
        await lab.aftershock()


async def redelivered(lab: Lab) -> None:
    """Commands are sent again behind later ones, and the program is killed when it has carried out
    some and committed no offset. Exposes programs that carry out a command again."""
    bookings = some_bookings(lab.rng, 3)
    events = commands(lab.rng, bookings * 8)
    commits = lab.commits(times=None).hold()
    sent = await lab.send("commands", [*events[:6], *events[:2], *events[6:], *events[:8]])
    app = await lab.start("app")
    await lab.until(effects_of(sent, at_least=1), STARTED_S, "a command to be carried out")
    await app.kill()
    commits.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def aborted_commit(lab: Lab) -> None:
    """The program's connection breaks at the commit of a change, and the back office, which waited
    for the booking, gives it the version instead. Exposes programs that publish before the commit,
    whose event tells of what never happened."""
    booking, other = some_bookings(lab.rng, 2)
    event = command(lab.rng, booking, seats=lab.rng.randrange(1, 5))
    async with Office(lab) as office:
        first = await office.change(other, lab.rng.randrange(9))
        await lab.start("app")
        await lab.until(first.published, STARTED_S, "the first change to be published")
        commit = await lab.sink.hold(OUTBOX, row={"change_id": event.id}, at="commit")
        await lab.send("commands", [event])
        await lab.until(held(commit), why="the program to commit a change")
        lab.promise(office.take(booking, lab.rng.randrange(5, 9)))
        await lab.until(waited_for(commit), why="the back office to wait for the booking")
        await lab.reached(published(booking, 1), within=TEMPTATION_S)
        await commit.drop()
        await lab.reached(published(booking, 2), within=USUALLY_S)
        await lab.settle()
        await lab.aftershock()


async def back_office_first(lab: Lab) -> None:
    """A command comes while the back office changes the same booking, which then commits: a new
    booking, and one that the program knows. Exposes programs that find the next version first and
    take it for a repeat, or for an error, when somebody else has it."""
    known, new = some_bookings(lab.rng, 2)
    async with Office(lab) as office:
        await lab.start("app")
        sent = await lab.send("commands", commands(lab.rng, [known]))
        await lab.reached(marked(sent), within=STARTED_S)
        for booking in (known, new):
            theirs = await lab.sink.hold(OUTBOX, row={"booking": booking}, at="commit")
            lab.promise(office.take(booking, lab.rng.randrange(9)))
            await lab.until(held(theirs), why="the back office to change a booking")
            sent = await lab.send("commands", commands(lab.rng, [booking]))
            await lab.reached(waited_for(theirs), within=USUALLY_S)
            await theirs.release()
            await lab.reached(marked(sent), within=USUALLY_S)
        await lab.settle()
        await lab.aftershock()


async def crash_before_publishing(lab: Lab) -> None:
    """SIGKILL when the event of a change is about to be written, once its row is marked or after
    1.5 s. Exposes programs that publish what they have in hand and do not look for what they owe,
    and those that mark before the broker has the event."""
    bookings = some_bookings(lab.rng, 2)
    app = await lab.start("app")
    write = writes(lab, times=None).hold()
    sent = await lab.send("commands", commands(lab.rng, bookings))
    await lab.until(effects_of(sent, at_least=1), STARTED_S, "a command to be carried out")
    await lab.until(held(write), why="the program to publish")
    await lab.reached(marked(sent), within=TEMPTATION_S)
    await app.kill()
    write.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


def marked(sent: Sequence[Sent]) -> Condition:
    """The row of one of these commands is marked."""
    ids = {s.id for s in sent}
    return Condition("a row to be marked", lambda h: any(m.id in ids for m in h.of(Marked)))


async def crash_before_marking(lab: Lab) -> None:
    """SIGKILL when the event of a change is published and its row is about to be marked. Exposes
    programs that give the event another identity when they publish it again."""
    event = command(lab.rng, new_booking(lab.rng))
    row = {"change_id": event.id, "published": True}
    marking = await lab.sink.hold(OUTBOX, row=row, at="commit")
    app = await lab.start("app")
    await lab.send("commands", [event])
    await lab.until(held(marking), STARTED_S, "the program to mark the row")
    await lab.reached(published(event.value["booking"], 1), within=TEMPTATION_S)
    await app.kill()
    await marking.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def refused_mark(lab: Lab) -> None:
    """The database refuses many times to mark a row. Exposes programs that do not look whether a
    row is marked."""
    event = command(lab.rng, new_booking(lab.rng))
    row = {"change_id": event.id, "published": True}
    refused = await lab.sink.fail(OUTBOX, row=row, times=REFUSALS, at="commit")
    await lab.start("app")
    sent = await lab.send("commands", [event])
    await lab.until(applied(refused), STARTED_S, "the program to mark the row")
    await lab.outlast(refused)
    await lab.reached(marked(sent), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def killed_at_each_commit(lab: Lab) -> None:
    """SIGKILL when the database has committed, before the program hears of it, and again at the
    next commit of its next life, about one command; twice. Exposes programs that carry a command
    out in one transaction, and remember that in another."""
    app = await lab.start("app")
    for booking in some_bookings(lab.rng, 2):
        commit = lab.database_commits(app).hold_response()
        sent = await lab.send("commands", commands(lab.rng, [booking]))
        await lab.kill_at_commits(app, commit, marked(sent))
        await lab.reached(marked(sent), within=USUALLY_S)
    await lab.settle()
    await lab.aftershock()


async def killed_before_change(lab: Lab) -> None:
    """SIGKILL while the database lets the commit of a change wait, once the offset of its command
    is committed or after 6 s, longer than the usual commit timer. Exposes programs that let go of
    a command before it is carried out."""
    app = await lab.start("app")
    booking, other = some_bookings(lab.rng, 2)
    partition = lab.rng.choice(range(PARTITIONS))
    known = await lab.send("commands", commands(lab.rng, [other]), partition)
    await lab.reached(marked(known), within=STARTED_S)
    event = command(lab.rng, booking)
    change = await lab.sink.hold(OUTBOX, row={"change_id": event.id}, at="commit")
    (sent,) = await lab.send("commands", [event], partition)
    await lab.until(held(change), STARTED_S, "the program to commit a change")
    await lab.reached(committed_past(sent), within=COMMIT_TIMER_S)
    await app.kill()
    await change.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()


async def refused_write(lab: Lab) -> None:
    """Three versions of a booking are there when the program starts, and the broker refuses the
    first write for good, many times. It lets the next one wait while the booking changes once more,
    and then refuses it for a moment. Exposes programs that go on with the next row, at once or
    after some attempts, that have two versions on their way at once, and those that do not look at
    what became of a write."""
    booking = new_booking(lab.rng)
    async with Office(lab) as office:
        for _ in range(3):
            await office.change(booking, lab.rng.randrange(9))
        # No error of the topic: librdkafka then takes no record for it, until it has looked again.
        refused = writes(lab, times=REFUSALS).error("UNKNOWN_SERVER_ERROR")
        await lab.start("app")
        await lab.until(applied(refused), STARTED_S, "the program to publish")
        await lab.outlast(refused)
        await lab.reached(published(booking, 3), within=USUALLY_S)
        moved = writes(lab).hold_error("NOT_LEADER_OR_FOLLOWER")
        await office.change(booking, lab.rng.randrange(9))
        await lab.until(held(moved), why="the program to publish the next version")
        last = await office.change(booking, lab.rng.randrange(9))
        # Whoever does not wait for an answer sends it now, behind the one that will be refused.
        await lab.reached(last.published, within=TEMPTATION_S)
        moved.release()
        await lab.reached(last.published, within=USUALLY_S)
        await lab.settle()
        await lab.aftershock()


async def connections_break(lab: Lab) -> None:
    """All connections to the database break at once, and only the back office has something to
    publish; then one to the broker, when it has taken the event. Exposes programs whose relay dies
    and nobody notices, and those that live by notifications, which nobody hears meanwhile."""
    booking = new_booking(lab.rng)
    async with Office(lab) as office:
        first = await office.change(booking, lab.rng.randrange(9))
        await lab.start("app")
        await lab.until(first.published, STARTED_S, "the first change to be published")
        await lab.rest()  # a relay that has nothing to do does not notice at once
        lab.tell("The program's connections to the database break.")
        await lab.sink.end_sessions([session.pid for session in await lab.sink.sessions()])
        await office.change(booking, lab.rng.randrange(9))
        await lab.rest()
        broken = writes(lab).cut_response()
        third = await office.change(booking, lab.rng.randrange(9))
        await lab.reached(applied(broken) & third.published, within=USUALLY_S)
        broken.release()
        await lab.settle()
        await lab.aftershock()


async def two_relays(lab: Lab) -> None:
    """Two instances; while one is about to publish a version of a booking, the next one is
    committed. Exposes relays that each take the rows that nobody else has in hand."""
    booking = new_booking(lab.rng)
    async with Office(lab) as office:
        await start_two(lab)
        write = writes(lab).hold()
        await office.change(booking, lab.rng.randrange(9))
        await lab.until(held(write), why="an instance to publish")
        next_one = await office.change(booking, lab.rng.randrange(9))
        # Where one instance publishes for all, nothing happens until that goes on.
        await lab.reached(next_one.published, within=TEMPTATION_S)
        write.release()
        await lab.settle()
        await lab.aftershock()


async def start_two(lab: Lab) -> None:
    """Start two instances and wait until both are at work."""
    await lab.start("first")
    await lab.start("second")
    await lab.until_shared(2, why="both instances to share the partitions")


async def relay_dies(lab: Lab) -> None:
    """Two instances; the one that is about to publish is killed and does not come back. Exposes
    programs in which nobody takes over the publishing."""
    booking = new_booking(lab.rng)
    async with Office(lab) as office:
        await start_two(lab)
        write = writes(lab).hold()
        await office.change(booking, lab.rng.randrange(9))
        await lab.until(held(write), why="an instance to publish")
        next_one = await office.change(booking, lab.rng.randrange(9))
        await lab.instances[holder(lab, write)].kill()
        write.drop()
        await lab.reached(next_one.published, within=USUALLY_S)
        await lab.settle()
        await lab.aftershock()


def holder(lab: Lab, fault: Fault) -> str:
    """The instance whose request a fault holds."""
    applied = [f for f in lab.history.of(FaultFact) if (f.fault, f.what) == (fault.id, "applied")]
    return applied[-1].instance or "first"


async def zombie(lab: Lab) -> None:
    """An instance is frozen while it carries out a command, the group gives its partitions to
    another, then it goes on. Exposes programs that look first and change later, and memories that
    each instance has for itself."""
    bookings = some_bookings(lab.rng, 2)
    events = commands(lab.rng, [bookings[0], bookings[1], bookings[0]])
    hold = await lab.sink.hold(OUTBOX, row={"change_id": events[0].id})
    sent = await lab.send("commands", events)
    first = await lab.start("first")
    await lab.until(held(hold), STARTED_S, "the first instance to carry out a command")
    second = await lab.replace(first, "second", PARTITIONS, hold)
    await lab.reached(effect_of(sent[0], by=second) | waited_for(hold), within=USUALLY_S)
    await first.thaw()
    await hold.release()
    await lab.settle()
    await lab.aftershock()


async def busy_day(lab: Lab) -> None:
    """Two instances, 120 commands and 60 changes of the back office about 12 bookings, one of them
    open all the time; then nothing to do. Exposes programs that mix up what happens at once, and
    programs that never rest."""
    bookings = some_bookings(lab.rng, 12)
    async with Office(lab) as office:
        await start_two(lab)
        open_one = await office.begin()
        await open_one.change(new_booking(lab.rng), lab.rng.randrange(9))
        for _ in range(6):
            lab.rng.shuffle(bookings)
            await lab.send("commands", commands(lab.rng, [*bookings, *bookings[:8]]))
            for booking in bookings[:10]:
                await office.change(booking, lab.rng.randrange(9))
        await open_one.commit()
        await lab.settle()
        await lab.idle(2.0)
        await lab.aftershock()
