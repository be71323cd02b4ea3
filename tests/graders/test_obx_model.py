"""OBX against a model: correct courses leave all checks silent, each mutation is found by its check
and by no unrelated one."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graders.checks.outbox import Change, Outbox
from graders.facts import Effect, Fact, Marked, Output, Settled, State
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.outboxes import Play, verdicts

FAIL = Verdict.FAIL
FEW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MANY = settings(FEW, max_examples=10_000)
BOOKINGS = ("bkg-a", "bkg-b", "bkg-c")
RELAYS = ("one", "two")


@dataclass
class Batch:
    """What a relay has taken: rows that were not marked then, each booking's in order."""

    rows: list[Effect]
    written: int = 0


@dataclass
class World:
    """A correct program and a back office; what happens next is drawn."""

    draw: st.DrawFn
    play: Play = field(default_factory=Play)
    rows: list[Effect] = field(default_factory=list)
    marked: set[int] = field(default_factory=set)
    begun: list[int] = field(default_factory=list)  # ids drawn by the back office
    batches: dict[str, Batch] = field(default_factory=dict)
    commands: int = 0
    crashes: int = 0

    def step(self) -> None:
        """One thing happens."""
        relay = self.draw(st.sampled_from(RELAYS))
        self.draw(
            st.sampled_from(
                [
                    self.carry_out,
                    self.begin,
                    self.commit,
                    self.roll_back,
                    lambda: self.publish(relay),
                    lambda: self.publish(relay),
                    lambda: self.publish(relay),
                    lambda: self.crash(relay),
                ]
            )
        )()

    def carry_out(self) -> None:
        """The program carries out a command."""
        self.commands += 1
        id, booking, seats = f"cmd-{self.commands}", self.booking(), self.draw(st.integers(0, 3))
        offset = self.play.send(id, booking, seats)
        self.rows.append(self.play.row(id, booking, seats))
        self.play.commit(offset)

    def begin(self) -> None:
        """The back office draws an id."""
        self.begun.append(self.play.draw_id())

    def commit(self) -> None:
        """The back office commits the change with one of the ids that it has drawn."""
        if self.begun:
            id = self.begun.pop(self.draw(st.integers(0, len(self.begun) - 1)))
            seats = self.draw(st.integers(0, 3))
            self.rows.append(self.play.office(self.booking(), seats, id))

    def roll_back(self) -> None:
        """An id that the back office has drawn is never seen."""
        if self.begun:
            self.begun.pop()

    def publish(self, relay: str) -> None:
        """A relay goes on: takes rows, writes the next one, or marks all of them."""
        batch = self.batches.get(relay)
        if batch is None:
            self.take(relay)
        elif batch.written < len(batch.rows):
            row = batch.rows[batch.written]
            batch.written += 1
            self.play.publish(row, partition=BOOKINGS.index(row.content["booking"]))
        else:
            for row in batch.rows:
                self.play.mark(row)
                self.marked.add(row.content["id"])
            del self.batches[relay]

    def take(self, relay: str) -> None:
        """Take what is not marked, bookings in any order, versions in theirs."""
        waiting = [row for row in self.rows if row.content["id"] not in self.marked]
        if waiting:
            order = self.draw(st.permutations(BOOKINGS))
            waiting.sort(key=lambda r: (order.index(r.content["booking"]), r.content["version"]))
            self.batches[relay] = Batch(waiting)

    def crash(self, relay: str) -> None:
        """A relay dies with what it has taken; a few times at most."""
        if self.crashes < 5 and relay in self.batches:
            self.crashes += 1
            del self.batches[relay]

    def booking(self) -> str:
        return self.draw(st.sampled_from(BOOKINGS))

    def drain(self) -> None:
        """Both relays go on until nothing is left."""
        for relay in RELAYS:
            while relay in self.batches:
                self.publish(relay)
        self.take("one")
        while "one" in self.batches:
            self.publish("one")


@st.composite
def tell(draw: st.DrawFn) -> History:
    """The history of a correct program."""
    world = World(draw)
    for _ in range(draw(st.integers(4, 40))):
        world.step()
    world.drain()
    world.play.settle()
    world.play.aftershock()
    for _ in range(draw(st.integers(0, 3))):
        world.carry_out()
    world.drain()
    return world.play.end()


@FEW
@given(tell())
def test_correct_courses_are_silent(history: History):
    assert verdicts(history) == {}
    assert Outbox(history).owed == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@MANY
@given(tell())
def test_many_correct_courses_are_silent(history: History):
    assert verdicts(history) == {}


def retold(facts: list[Fact]) -> History:
    """A history of these facts in this order, numbered anew, with the state that its rows make."""
    told = [replace(fact, n=n, t=n / 100) for n, fact in enumerate(facts, 1)]
    offsets: dict[int, int] = defaultdict(int)
    for at, fact in enumerate(told):
        if isinstance(fact, Output):
            told[at] = replace(fact, offset=offsets[fact.partition])
            offsets[fact.partition] += 1
    last = {e.content["booking"]: e.content for e in told if isinstance(e, Effect)}
    rows = [{name: row[name] for name in ("booking", "version", "seats")} for row in last.values()]
    return History(
        replace(f, rows=rows, expected=rows) if isinstance(f, State) else f for f in told
    )


def a_change(data: st.DataObject, outbox: Outbox, once: bool = False) -> Change:
    """One that was published, exactly once when asked so."""
    found = [change for change, told in outbox.events.items() if len(told) == 1 or not once]
    assume(found)
    return data.draw(st.sampled_from(found))


def without(history: History, gone: list[Any]) -> list[Fact]:
    numbers = {fact.n for fact in gone}
    return [fact for fact in history if fact.n not in numbers]


def inserted(history: History, fact: Fact, behind: Fact) -> list[Fact]:
    facts = list(history)
    facts.insert(behind.n, fact)
    return facts


def lose_event(data: st.DataObject, history: History) -> list[Fact]:
    outbox = Outbox(history)
    return without(history, outbox.events[a_change(data, outbox)])


def invent_event(data: st.DataObject, history: History) -> list[Fact]:
    outbox = Outbox(history)
    booking, _ = a_change(data, outbox)
    version = 1 + max(v for name, v in outbox.rows if name == booking)
    event = outbox.events[booking, 1][0]
    return inserted(history, replace(event, value=event.value | {"version": version}), event)


def other_seats(data: st.DataObject, history: History) -> list[Fact]:
    """The event says other seats than its row, beside the right one."""
    outbox = Outbox(history)
    event = outbox.events[a_change(data, outbox)][-1]
    return inserted(history, replace(event, value=event.value | {"seats": -1}), event)


def swap_versions(data: st.DataObject, history: History) -> list[Fact]:
    """Two versions of a booking, each published once, change places."""
    outbox = Outbox(history)
    once = {change for change, told in outbox.events.items() if len(told) == 1}
    pairs = [(b, v) for b, v in once if (b, v + 1) in once]
    assume(pairs)
    booking, version = data.draw(st.sampled_from(sorted(pairs)))
    one, two = (outbox.events[booking, v][0] for v in (version, version + 1))
    assume(not any(isinstance(f, Settled) for f in list(history)[one.n : two.n]))
    values = {one.n: two.value, two.n: one.value}
    return [
        replace(f, value=values[f.n]) if isinstance(f, Output) and f.n in values else f
        for f in history
    ]


def another_id(data: st.DataObject, history: History) -> list[Fact]:
    outbox = Outbox(history)
    event = outbox.events[a_change(data, outbox)][-1]
    return inserted(history, replace(event, value=event.value | {"event_id": "other"}), event)


def other_partition(data: st.DataObject, history: History) -> list[Fact]:
    outbox = Outbox(history)
    event = outbox.events[a_change(data, outbox)][-1]
    return inserted(history, replace(event, partition=(event.partition + 1) % 3), event)


def unmark(data: st.DataObject, history: History) -> list[Fact]:
    booking, version = a_change(data, Outbox(history))
    told = {"booking": booking, "version": version}
    return without(history, [m for m in history.of(Marked) if m.content.items() >= told.items()])


def publish_after_restart(data: st.DataObject, history: History) -> list[Fact]:
    """The last version of a booking is published only after the restart."""
    outbox = Outbox(history)
    rest = history.of(Settled)[0]
    early = [c for c, told in outbox.events.items() if told[-1].n < rest.n]
    last = [(b, v) for b, v in early if (b, v + 1) not in outbox.rows]
    assume(last)
    events = outbox.events[data.draw(st.sampled_from(last))]
    facts = without(history, events)
    facts.insert(facts.index(rest) + 1, events[0])
    return facts


def carry_out_twice(data: st.DataObject, history: History) -> list[Fact]:
    """A command makes two changes, both published and marked."""
    outbox = Outbox(history)
    last = [
        change
        for change, row in outbox.rows.items()
        if not row.ours and (change[0], change[1] + 1) not in outbox.rows
    ]
    assume(last)
    change = data.draw(st.sampled_from(last))
    row, event, mark = outbox.rows[change], outbox.events[change][-1], outbox.marked[change]
    told = row.content | {"version": change[1] + 1, "id": 10_000}
    version = {"version": change[1] + 1, "event_id": "again"}
    end = history.of(Settled)[-1]
    more = [
        replace(row, content=told),
        replace(event, value=event.value | version),
        replace(mark, content=told),
    ]
    facts = list(history)
    return facts[: end.n - 1] + more + facts[end.n - 1 :]


Mutation = Callable[[st.DataObject, History], list[Fact]]

MUTATIONS: dict[Mutation, tuple[dict[str, Verdict], set[str]]] = {
    # Which of the two it is depends on what had been published at the commit.
    lose_event: ({}, {"OBX-1", "OBX-5"}),
    invent_event: ({"OBX-2": FAIL}, set()),
    other_seats: ({"OBX-2": FAIL}, set()),
    swap_versions: ({"OBX-3": FAIL}, set()),
    other_partition: ({"OBX-3": FAIL}, set()),
    another_id: ({"OBX-4": FAIL}, set()),
    unmark: ({"OBX-6": FAIL}, set()),
    publish_after_restart: ({"OBX-6": FAIL}, set()),
    carry_out_twice: ({"EFF-2": FAIL}, set()),
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
