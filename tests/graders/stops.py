"""Hand-made histories of programs that are told to stop, and a model of correct ones.

tale = Stops()
tale.begin("app")
tale.order("ord-1", 0)
tale.fetch("app", 0, 0, 0)
tale.do("app", "ord-1")                    # a row in ledger, a record in announcements
tale.commit("app", 0, 1)
tale.process("app", "terminated")
tale.leave("app")
tale.stop("app")
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from graders.checks import HARNESS
from graders.facts import Effect, Sent
from graders.history import History
from tests.graders.histories import TOPIC, Tale

CHECKED = (
    *HARNESS,
    *("SHU-1", "SHU-2", "SHU-3", "SHU-4", "SHU-5", "SHU-6"),
    *("EFF-1", "EFF-2", "EFF-3", "COM-1", "COM-3", "GRD-4"),
)
PARTITIONS = 2


class Stops(Tale):
    """A tale of orders that become a row and a record each."""

    def __init__(self) -> None:
        super().__init__(PARTITIONS, outputs={"announcements.t1": 1})
        self.lives: dict[str, int] = {}
        self.announced = 0

    def order(self, id: str, partition: int = 0) -> Sent:
        content = {"account": "acc-1", "amount": 10}
        return self.send(id, partition, expect={"ledger": content, "announcements": content})

    def begin(self, instance: str, *partitions: int) -> None:
        """An instance starts, joins the group and is given these partitions, or all."""
        self.process(instance, "started")
        self.join_anew(instance)
        self.assign(instance, *(partitions or range(PARTITIONS)))

    def join_anew(self, instance: str) -> None:
        self.lives[instance] = self.lives.get(instance, 0) + 1
        self.members.add(instance)
        fields = self.member(instance) | {"generation": 1, "protocol": "classic"}
        self.append("joined", **fields)

    def assign(self, instance: str, *partitions: int) -> None:
        lanes = [[TOPIC, partition] for partition in partitions]
        self.append("assigned", **self.member(instance), generation=1, partitions=lanes)

    def member(self, instance: str) -> dict[str, str]:
        member = f"{instance}-{self.lives[instance]}"
        return {"instance": instance, "group": "payments-service", "member": member}

    def write(self, instance: str, id: str) -> Effect:
        return self.effect(instance, id)

    def announce(self, instance: str, id: str) -> Effect:
        self.announced += 1
        return self.append(
            "effect",
            table="announcements",
            row=self.announced - 1,
            id=id,
            content={"account": "acc-1", "amount": 10},
            instance=instance,
            txid="",
            committed_t=self.now(),
            partition=0,
        )

    def do(self, instance: str, *ids: str) -> None:
        for id in ids:
            self.write(instance, id)
            self.announce(instance, id)

    def leave(self, instance: str, by: str = "program") -> None:
        self.append("left", **self.member(instance), by=by)

    def stop(self, instance: str, code: int | None = 0, signal: int | None = None) -> None:
        """It ends by itself after SIGTERM."""
        self.process(instance, "stopped", code=code, signal=signal, reason="exited")

    def is_killed(self, instance: str) -> None:
        """Its grace is over."""
        self.process(instance, "overdue")
        self.process(instance, "killed", signal=9, reason="killed")

    def part(self, instance: str, api: str, **more: Any) -> None:
        """Something that is accepted in a transaction."""
        common = {"instance": instance, "producer_id": 7, "epoch": 0, "outcome": "accepted"}
        own = {"topic": "announcements.t1", "partition": 0, "base_offset": 0, "count": 1}
        if api == "Produce":
            self.append("produced", **common, **own, transactional=True, **more)
        else:
            self.append("ended", **common, transactional_id="t", committed=True, **more)


@dataclass
class Instance:
    """A program at work: what it holds, and how far it is."""

    name: str
    position: dict[int, int]
    hand: list[tuple[int, int]] = field(default_factory=list)
    done: dict[int, int] = field(default_factory=dict)


class World:
    """A correct program, in lives that end by SIGTERM. With `transactions`, its offsets and records
    are in Kafka transactions; with `batches`, it commits when it has nothing in hand."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.tale = Stops()
        self.transactions = draw(st.booleans())
        self.batches = draw(st.booleans())
        self.log: dict[int, list[str]] = {p: [] for p in range(PARTITIONS)}
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.names = 0
        self.app = self.begin()

    def begin(self) -> Instance:
        self.names += self.draw(st.integers(0, 1))
        name = f"app-{self.names}"
        self.tale.begin(name)
        return Instance(name, dict(self.committed))

    def send(self) -> None:
        partition = self.draw(st.integers(0, PARTITIONS - 1))
        id = f"ord-{sum(map(len, self.log.values()))}"
        self.log[partition].append(id)
        self.tale.order(id, partition)

    def fetch(self) -> None:
        for partition, ids in self.log.items():
            first = self.app.position[partition]
            if first < len(ids):
                last = self.draw(st.integers(first, len(ids) - 1))
                self.tale.fetch(self.app.name, partition, first, last)
                self.app.hand += [(partition, offset) for offset in range(first, last + 1)]
                self.app.position[partition] = last + 1

    def work(self) -> None:
        """One order, or new ones when there is none in hand."""
        if not self.app.hand:
            self.fetch()
            return
        partition, offset = self.app.hand.pop(0)
        self.tale.do(self.app.name, self.log[partition][offset])
        self.app.done[partition] = offset + 1
        if not (self.batches and self.app.hand):
            self.commit()

    def commit(self) -> None:
        name = self.app.name
        if self.transactions and self.app.done:
            self.tale.part(name, "Produce")
        for partition, offset in self.app.done.items():
            self.tale.commit(name, partition, offset, **self.of_transaction())
        if self.transactions and self.app.done:
            self.tale.part(name, "EndTxn")
        self.committed |= self.app.done
        self.app.done = {}

    def of_transaction(self) -> dict[str, Any]:
        inside = {"api": "TxnOffsetCommit", "producer_id": 7, "epoch": 0}
        return inside if self.transactions else {}

    def stop(self) -> None:
        """SIGTERM at work: perhaps one more record comes; some of what is in hand is done."""
        rejoining = self.draw(st.integers(0, 3)) == 0
        if rejoining:
            self.tale.fault("applied", target="JoinGroup", id="f9")
        for _ in range(self.draw(st.integers(1, 2))):
            self.tale.process(self.app.name, "terminated")
        if self.draw(st.booleans()) and not self.app.hand:
            self.work()
        for _ in range(self.draw(st.integers(0, len(self.app.hand)))):
            self.work()
        self.commit()
        if rejoining:
            self.tale.fault("released", target="JoinGroup", id="f9")
        self.end(stays=rejoining and self.draw(st.booleans()))

    def end(self, *, stays: bool) -> None:
        if not stays:
            self.tale.leave(self.app.name)
        code, signal = self.draw(st.sampled_from([(0, None), (143, None), (None, 15)]))
        self.tale.stop(self.app.name, code, signal)
        if stays:
            self.tale.leave(self.app.name, by="grader")
        self.app = self.begin()

    def stop_at_start(self) -> None:
        """Another one is stopped before it has joined."""
        self.tale.process("early", "started")
        self.tale.process("early", "terminated")
        self.tale.stop("early", self.draw(st.sampled_from([0, 1, 143])))

    def finish(self) -> None:
        while self.app.hand or any(self.app.position[p] < len(ids) for p, ids in self.log.items()):
            self.work()
        self.commit()


@st.composite
def tell(draw: st.DrawFn) -> History:
    """The history of a correct program."""
    world = World(draw)
    steps = {
        "send": world.send,
        "work": world.work,
        "stop": world.stop,
        "stop_at_start": world.stop_at_start,
    }
    often = ["send"] * 6 + ["work"] * 8 + ["stop"] * 2 + ["stop_at_start"]
    world.send()
    for step in draw(st.lists(st.sampled_from(often), min_size=5, max_size=40)):
        steps[step]()
    world.finish()
    return world.tale.end()
