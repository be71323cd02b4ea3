"""Hand-made histories of programs that call a service and write dead letters, and a model of a
correct one."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from graders.facts import Call, Sent
from graders.history import History
from tests.graders.histories import TOPIC, Tale

SHIPPING = {"attempts": 4, "pauses": [0.2, 0.4, 0.8], "patience": 1.0, "transient": [429, 503]}
DEAD = {"dlq": {}}


class Letters(Tale):
    """A tale of orders: shipped by a service, or put into the topic `dlq`."""

    def __init__(self) -> None:
        self.waited = 0.0
        super().__init__(
            outputs={"dlq.t1": 1},
            repeats=["dlq"],
            dead_letters=["dlq"],
            services={"shipping": SHIPPING},
        )
        self.numbers: Counter[str] = Counter()
        self.letters = 0

    def now(self) -> float:
        return len(self) / 100 + self.waited

    def wait(self, seconds: float) -> None:
        self.waited += seconds

    def order(self, id: str, partition: int = 0, customer: str = "c-1", **more: Any) -> Sent:
        """An order that is to be shipped, unless `expect` says otherwise."""
        more.setdefault("expect", {"shipping": {"customer": customer}})
        return self.send(id, partition, account=customer, **more)

    def poison(
        self, id: str, partition: int = 0, customer: str | None = "c-1", **more: Any
    ) -> Sent:
        """Bytes that are no order; a tombstone when `payload` is None."""
        more = {"expect": DEAD, "raw": True, "payload": f"{id}?", **more}
        return self.send(id, partition, account=customer, **more)

    def call(
        self,
        instance: str,
        id: str,
        status: int | None = 201,
        *,
        heard: bool = True,
        outcome: str = "",
    ) -> Call:
        """A call about an order; None is one that never reaches the service."""
        self.numbers[id] += 1
        name = f"c{sum(self.numbers.values())}"
        common = {"instance": instance, "service": "shipping", "call": name}
        if status == 201:
            self.ship(instance, id)
        fact = self.append(
            "call",
            **common,
            method="POST",
            path="/shipments",
            body={"order": id},
            id=id,
            number=self.numbers[id],
            outcome=outcome or {None: "lost", 503: "failed"}.get(status, "served"),
            status=status,
        )
        if heard and status is not None:
            self.append("answered", **common, status=status)
        assert isinstance(fact, Call)
        return fact

    def silence(self, call: Call, waited_s: float = 0.0) -> None:
        """From now on nobody answers a call, which came so many seconds ago."""
        common = {"instance": call.instance, "service": call.service, "call": call.call}
        self.append("unanswered", **common, waited_s=waited_s)

    def ship(self, instance: str, id: str) -> None:
        self._effect(instance, id, "shipping", {"customer": self.sent(id).key})

    def bury(self, instance: str, id: str, attempts: int | str = 0, **changes: Any):
        """A dead letter of a record; `changes` to its key, payload or headers."""
        sent = self.sent(id)
        told = {
            "dlq.topic": sent.topic,
            "dlq.partition": str(sent.partition),
            "dlq.offset": str(sent.offset),
            "dlq.error": "because",
            "dlq.attempts": str(attempts),
        } | changes.pop("told", {})
        letter = {
            "key": sent.key,
            "payload": sent.payload if sent.raw else json.dumps(sent.value),
            "headers": [*sent.headers, *([name, text] for name, text in told.items())],
        } | changes
        return self._effect(instance, id, "dlq", {}, partition=0, **letter)

    def sent(self, id: str) -> Sent:
        return next(sent for sent in self.of(Sent) if sent.id == id)

    def _effect(self, instance: str, id: str, table: str, content: dict[str, Any], **more: Any):
        self.letters += 1
        common = {"row": self.letters, "txid": "", "committed_t": self.now()}
        return self.append(
            "effect", table=table, id=id, content=content, instance=instance, **common, **more
        )

    def end(self, *, settled: bool = True, **fields: Any) -> History:
        if settled:
            self.settle(**fields)
        self.append("phase", name="drain")
        for record in self.log:
            self.append("record", **record)
        return History(self)


KINDS = ("good", "flaky", "hopeless", "refused", "poison", "withdrawn")


@dataclass
class Line:
    """What one customer of a partition still has open, the oldest first: (offset, id)."""

    open: list[tuple[int, str]] = field(default_factory=list)
    attempts: int = 0


class Program:
    """A correct program: customers side by side, each one's records in order; any crash, any
    commit of a finished prefix, any pause that is long enough."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw, self.tale = draw, Letters()
        self.kinds: dict[str, str] = {}
        self.log: dict[int, list[tuple[str, str]]] = defaultdict(list)
        self.committed: Counter[int] = Counter()
        self.shipped: set[str] = set()
        self.begin("started")

    def begin(self, what: str) -> None:
        self.tale.process("app", what)
        self.tale.assigned("app", 0, 1, 2)
        self.lines: dict[tuple[int, str], Line] = {}
        self.done: dict[int, set[int]] = defaultdict(set)
        self.position = Counter(self.committed)

    def send(self) -> None:
        partition, kind = self.draw(st.integers(0, 2)), self.draw(st.sampled_from(KINDS))
        customer, id = f"c-{partition}-{self.draw(st.integers(0, 2))}", f"{kind}-{len(self.kinds)}"
        self.kinds[id] = kind
        self.log[partition].append((id, customer))
        headers = self.draw(st.sampled_from([[], [["via", "a"], ["via", "b"]]]))
        if kind in ("poison", "withdrawn"):
            payload = f"{id}?" if kind == "poison" else None
            expect = DEAD if kind == "poison" else {}
            self.tale.poison(
                id, partition, customer, payload=payload, expect=expect, headers=headers
            )
        elif kind in ("hopeless", "refused"):
            self.tale.order(id, partition, customer, expect=DEAD, headers=headers)
        else:
            self.tale.order(id, partition, customer, headers=headers)

    def fetch(self) -> None:
        for partition, records in self.log.items():
            first, end = self.position[partition], len(records)
            if first < end:
                self.tale.fetch("app", partition, first, end - 1)
                for offset in range(first, end):
                    id, customer = records[offset]
                    line = self.lines.setdefault((partition, customer), Line())
                    line.open.append((offset, id))
                self.position[partition] = end

    def work(self) -> None:
        self.fetch()
        busy = [place for place, line in self.lines.items() if line.open]
        if busy:
            partition, customer = self.draw(st.sampled_from(busy))
            self.step(partition, self.lines[partition, customer])

    def step(self, partition: int, line: Line) -> None:
        offset, id = line.open[0]
        if self.is_over(id, line):
            line.open.pop(0)
            line.attempts = 0
            self.done[partition].add(offset)

    def is_over(self, id: str, line: Line) -> bool:
        """Do the next thing for a record; whether that was its outcome."""
        kind = self.kinds[id]
        if kind == "withdrawn":
            return True
        if kind == "poison":
            self.tale.bury("app", id)
            return True
        if line.attempts:
            least = SHIPPING["pauses"][line.attempts - 1]
            self.tale.wait(least * self.draw(st.sampled_from([1.0, 1.3])))
        line.attempts += 1
        return self.ask(id, kind, line.attempts)

    def ask(self, id: str, kind: str, attempts: int) -> bool:
        if kind == "refused":
            self.tale.call("app", id, 422)
        elif kind == "hopeless" or (kind == "flaky" and self.tale.numbers[id] < 3):
            self.tale.call("app", id, self.draw(st.sampled_from([503, 429, None])))
            if kind == "flaky" or attempts < 4:
                return False
        else:
            self.tale.call("app", id, 200 if id in self.shipped else 201)
            self.shipped.add(id)
            return True
        self.tale.bury("app", id, attempts)
        return True

    def commit(self) -> None:
        for partition, done in self.done.items():
            reached = self.committed[partition]
            while reached in done:
                reached += 1
            if reached > self.committed[partition]:
                self.committed[partition] = reached
                self.tale.commit("app", partition, reached)

    def crash(self) -> None:
        self.tale.process("app", "killed")
        self.begin("started")

    def finish(self) -> None:
        self.fetch()
        while any(line.open for line in self.lines.values()):
            self.work()
        self.commit()


@st.composite
def tell(draw: st.DrawFn) -> History:
    """The history of a correct program."""
    program = Program(draw)
    steps = [program.send] * 4 + [program.work] * 8 + [program.commit] * 2 + [program.crash]
    program.send()
    for step in draw(st.lists(st.sampled_from(range(len(steps))), min_size=5, max_size=40)):
        steps[step]()
    program.finish()
    return program.tale.end()


__all__ = ["DEAD", "SHIPPING", "TOPIC", "Letters", "tell"]
