"""Hand-made histories of a program that keeps a view of two topics, and the model of a correct one.

tale = ViewTale()
tale.send("a", 5)                     # orders-0@0: five more for row a
tale.fetch_all()
tale.ask("a")                         # answered with all that was read, and rightly
tale.rebuild(2)
history = tale.end()

A row is the sum of its events; there is none before its first event.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from graders.checks import CHECKS, HARNESS
from graders.facts import Asked, Fact, Projected
from graders.history import History, Recorder
from graders.projection import answers_of, included

TOPICS = {"customers.t1": 1, "orders.t1": 2}
LANES = [(topic, partition) for topic, count in TOPICS.items() for partition in range(count)]
CHECKED = (
    *HARNESS,
    *(id for id in CHECKS if id.startswith("PRJ")),
    *("EFF-1", "EFF-2", "EFF-3", "COM-1", "COM-2", "COM-4", "COM-5", "LIV-1", "LIV-2"),
    *("GRD-1", "GRD-4"),
)

Lane = tuple[str, int]
ORDERS_0: Lane = ("orders.t1", 0)


def name_of(lane: Lane) -> str:
    """A partition as answers name it."""
    return f"{lane[0].split('.')[0]}-{lane[1]}"


def row_of(id: str, history: History, positions: Mapping[Lane, int]) -> dict[str, Any] | None:
    """What the records before these positions add up to."""
    amounts = [s.value["amount"] for s in included(history, positions) if s.key == id]
    return {"sum": sum(amounts)} if amounts else None


class ViewTale(Recorder):
    """A history that is told fact by fact; each is one hundredth of a second after the last."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self.read: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self.log: list[dict[str, Any]] = []
        self.amounts: list[int] = []
        self.append(
            "scenario",
            challenge="cqrs_projection",
            scenario="a_tale",
            seed=7,
            driver="process",
            group="view",
            topics=TOPICS,
            projection={"queries": "/rows/", "rebuild": "/rebuild"},
        )
        self.append("process", instance="app", what="started")
        common = {"instance": "app", "group": "view", "member": "app-1", "generation": 1}
        self.append("joined", **common, protocol="classic")
        self.append("assigned", **common, partitions=[list(lane) for lane in LANES])

    def now(self) -> float:
        return len(self) / 100

    def send(self, key: str, amount: int, lane: Lane = ORDERS_0, *, reviewed: bool = False):
        """An event; one that is reviewed must have an effect."""
        id = f"evt-{len(self.log)}"
        place = {"topic": lane[0], "partition": lane[1], "offset": self.ends[lane]}
        self.ends[lane] += 1
        self.log.append({**place, "key": key, "id": id})
        self.amounts.append(amount)
        expect = {"reviews": {"amount": amount}} if reviewed else {}
        value = {"id": id, "amount": amount}
        return self.append("sent", **place, key=key, id=id, value=value, expect=expect)

    def gap(self, lane: Lane = ORDERS_0) -> None:
        """An offset at which there is no record."""
        self.ends[lane] += 1

    def fetch(self, lane: Lane, first: int, last: int):
        return self.append(
            "fetched", instance="app", topic=lane[0], partition=lane[1], first=first, last=last
        )

    def fetch_all(self, *, again: bool = False) -> None:
        """Everything that was not read yet is handed to the program; all of it, when `again`."""
        for lane, end in self.ends.items():
            if (first := 0 if again else self.read[lane]) < end:
                self.fetch(lane, first, end - 1)
            self.read[lane] = end

    def review(self, id: str):
        sent = next(f for f in self if getattr(f, "id", None) == id)
        return self.append(
            "effect",
            table="reviews",
            row=len(self),
            id=id,
            content={"amount": sent.value["amount"]},
            instance="app",
            txid=str(len(self)),
            committed_t=self.now(),
        )

    def commit(self, lane: Lane, offset: int):
        return self.append(
            "commit",
            instance="app",
            group="view",
            topic=lane[0],
            partition=lane[1],
            offset=offset,
            outcome="accepted",
        )

    def commit_all(self) -> None:
        for lane, end in self.ends.items():
            if end:
                self.commit(lane, end)

    def ask(
        self,
        id: str,
        as_of: Mapping[Lane, int] | None = None,
        *,
        generation: int = 1,
        after: tuple[Lane, int] | None = None,
        since: int | None = None,
        **changes: Any,
    ):
        """A question and its right answer, of all that was read unless `as_of` says less; with
        these `changes` of the fact."""
        as_of = self.read if as_of is None else as_of
        amounts = [
            amount
            for record, amount in zip(self.log, self.amounts, strict=True)
            if record["key"] == id
            and record["offset"] < as_of.get((record["topic"], record["partition"]), 0)
        ]
        row = {"sum": sum(amounts)} if amounts else None
        answer = {
            "as_of": {name_of(lane): position for lane, position in as_of.items()},
            "generation": generation,
            **(row or {}),
        }
        token = f"?after={name_of(after[0])}@{after[1]}" if after else ""
        fields = {"status": 200 if row else 404, "answer": answer, "path": f"/rows/{id}{token}"}
        return self._asked("GET", since, **(fields | changes))

    def rebuild(self, generation: int, status: int = 202):
        answer = {"generation": generation}
        return self._asked("POST", None, path="/rebuild", status=status, answer=answer)

    def _asked(self, method: str, since: int | None, **fields: Any):
        since = len(self) if since is None else since
        told = {"instance": "app", "method": method, "since": since, "asked_t": since / 100}
        return self.append("asked", **(told | fields))

    def settle(self, **fields: Any):
        return self.append("settled", **({"quiet": True, "waited_s": 0.4} | fields))

    def end(self) -> History:
        """The finished history, with what each answer must hold."""
        ends = [[*lane, end] for lane, end in self.ends.items()]
        self.append("phase", name="drain", ends=ends)
        for record in self.log:
            self.append("record", **record)
        return projected(self)


def projected(facts: Iterable[Fact]) -> History:
    """These facts, numbered and timed anew in their order, and what each answer must hold. Of each
    question `since` keeps pointing to the fact that it pointed to."""
    kept = [fact for fact in facts if not isinstance(fact, Projected)]
    number = {0: 0}
    for n, fact in enumerate(kept, 1):
        number.setdefault(fact.n, n)
    told: list[Fact] = []
    for n, fact in enumerate(kept, 1):
        fields: dict[str, Any] = {"n": n, "t": n / 100}
        if isinstance(fact, Asked):
            fields["since"] = max(new for old, new in number.items() if old <= fact.since)
        told.append(replace(fact, **fields))
    history = History(told)
    for answer in answers_of(history):
        row = row_of(answer.id, history, answer.positions)
        told.append(Projected(n=len(told) + 1, t=len(told) / 100, asked=answer.asked.n, row=row))
    return History(told)


class Program:
    """A correct program, which takes one step after the other as it is drawn."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.tale = ViewTale()
        self.view: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self.generation = 1
        self.promised = 1
        self.next: dict[Lane, int] | None = None

    def send(self) -> None:
        key, lane = self.draw(st.sampled_from("abc")), self.draw(st.sampled_from(LANES))
        amount = self.draw(st.integers(1, 9))
        self.tale.send(key, amount, lane, reviewed=amount > 6)
        if self.draw(st.integers(0, 3)) == 0:
            self.tale.gap(lane)

    def take_up(self) -> None:
        """Some records are read, and are in the view at once."""
        lane = self.draw(st.sampled_from(LANES))
        position = self.view[lane]
        if position < self.tale.ends[lane]:
            self.go_to(lane, self.draw(st.integers(position + 1, self.tale.ends[lane])))

    def go_to(self, lane: Lane, end: int) -> None:
        """Records of a partition are read up to `end`, and are in the view at once."""
        position, self.view[lane] = self.view[lane], end
        self.tale.fetch(lane, position, end - 1)
        for sent in self.reviewed(lane, position):
            self.tale.review(sent)

    def reviewed(self, lane: Lane, position: int) -> list[str]:
        """The events with a review that were taken up from a position on."""
        due = {f.id for f in self.tale if getattr(f, "expect", None)}
        return [
            r["id"]
            for r in self.tale.log
            if (r["topic"], r["partition"]) == lane
            and position <= r["offset"] < self.view[lane]
            and r["id"] in due
        ]

    def commit(self) -> None:
        lane = self.draw(st.sampled_from(LANES))
        if self.view[lane]:
            self.tale.commit(lane, self.view[lane])

    def ask(self) -> None:
        """A question; other things may happen before it is answered."""
        key, since = self.draw(st.sampled_from("abc")), len(self.tale)
        lane = self.draw(st.sampled_from(LANES))
        offset = self.draw(st.integers(0, max(0, self.tale.ends[lane] - 1)))
        is_there = any(
            (r["topic"], r["partition"], r["offset"]) == (*lane, offset) for r in self.tale.log
        )
        after = (lane, offset) if is_there and self.draw(st.booleans()) else None
        view, generation = dict(self.view), self.generation
        if self.draw(st.booleans()):
            self.draw(st.sampled_from([self.send, self.take_up, self.commit]))()
        if after and view[lane] <= offset:
            self.tale.ask(key, view, since=since, after=after, status=503, answer={})
        else:
            self.tale.ask(key, view, since=since, after=after, generation=generation)

    def restart(self) -> None:
        """A rebuild that was under way is dropped."""
        self.tale.append("process", instance="app", what="killed")
        self.tale.append("process", instance="app", what="started")
        common = {"instance": "app", "group": "view", "member": f"app-{len(self.tale)}"}
        self.tale.append("joined", **common, generation=1, protocol="classic")
        lanes = [list(lane) for lane in LANES]
        self.tale.append("assigned", **common, generation=1, partitions=lanes)
        self.next = None

    def rebuild(self) -> None:
        if self.next is None:
            self.promised = max(self.promised, self.generation) + 1
            self.next = dict.fromkeys(LANES, 0)
            self.tale.rebuild(self.promised)

    def go_on_rebuilding(self) -> None:
        if self.next is None:
            return
        for lane, position in self.next.items():
            if position < (end := self.tale.ends[lane]) and self.draw(st.booleans()):
                self.tale.fetch(lane, position, end - 1)
                self.next[lane] = end
        self.change_over()

    def change_over(self) -> None:
        assert self.next is not None
        if all(self.next[lane] >= self.view[lane] for lane in LANES):
            before, self.view = self.view, self.next
            self.next, self.generation = None, self.promised
            for lane in LANES:
                for id in self.reviewed(lane, before[lane]):
                    self.tale.review(id)

    def begin(self) -> None:
        """An event with a review is in the view, committed, and seen twice."""
        self.tale.send("a", 9, ORDERS_0, reviewed=True)
        self.go_to(ORDERS_0, 1)
        self.tale.commit(ORDERS_0, 1)
        for _ in range(2):
            self.tale.ask("a", self.view, after=(ORDERS_0, 0))
            self.tale.ask("b", self.view)

    def rebuild_at_once(self) -> None:
        """A rebuild is asked for, unless one is under way, a question is asked, and it is done."""
        self.rebuild()
        self.tale.ask("b", self.view, generation=self.generation)
        assert self.next is not None
        for lane, end in self.tale.ends.items():
            if self.next[lane] < end:
                self.tale.fetch(lane, self.next[lane], end - 1)
                self.next[lane] = end
        self.change_over()

    def finish(self) -> History:
        """All is taken up and committed, and asked for once more."""
        for lane, end in self.tale.ends.items():
            if self.view[lane] < end:
                self.go_to(lane, end)
        self.tale.commit_all()
        self.tale.settle()
        for key in "abc":
            self.tale.ask(key, self.view, generation=self.generation)
        return self.tale.end()


@st.composite
def tell(draw: st.DrawFn, begun: bool = False, rebuilt: bool = False) -> History:
    """The history of a correct program; one in which something was reviewed and asked for first
    (`begun`), and a rebuild was done last (`rebuilt`), where that is wanted."""
    program = Program(draw)
    steps = [
        *(program.send, program.send, program.take_up, program.take_up, program.commit),
        *(program.ask, program.ask, program.restart),
        *(program.rebuild, program.go_on_rebuilding),
    ]
    if begun:
        program.begin()
    for step in draw(st.lists(st.sampled_from(steps), max_size=30)):
        step()
    if rebuilt:
        program.rebuild_at_once()
    return program.finish()
