"""A reference model of correct programs that keep each item's order, and all that may befall them.

`tell` plays such a program through a random course and returns its history. It may be of any honest
style: one worker or many, publishing at once or later, commits of the finished prefix at any time.
It applies a change only when the database says that it is the next one; it publishes whatever it
was handed, in the item's order; it gives partitions up cleanly when a second instance joins.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import strategies as st

from graders.history import History
from tests.graders.ordered import OrderedTale

PARTITIONS = 2
ITEMS = {item: ord(item) % PARTITIONS for item in "abcde"}


@dataclass
class Instance:
    """What an instance has in memory: for each item the changes it holds, as (partition, offset,
    version); the first one of an item is in work, and `applied` when only publishing is left."""

    name: str
    member: str  # the broker names each process anew
    owns: set[int]
    position: dict[int, int]
    start: dict[int, int]
    queues: dict[str, list[tuple[int, int, int]]] = field(default_factory=lambda: defaultdict(list))
    applied: set[str] = field(default_factory=set)
    finished: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))


class World:
    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.tale = OrderedTale(PARTITIONS)
        self.log: dict[int, list[tuple[str, int]]] = {p: [] for p in range(PARTITIONS)}
        self.versions = dict.fromkeys(ITEMS, 0)  # in the database
        self.sent = dict.fromkeys(ITEMS, 0)
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.generation = 0
        self.held: tuple[str, int] | None = None
        self.live: list[Instance] = []
        self.zombie: Instance | None = None
        self.join("first", set(range(PARTITIONS)))

    def join(self, name: str, owns: set[int]) -> Instance:
        self.generation += 1
        member = f"{name}-{self.generation}"
        instance = Instance(name, member, owns, dict(self.committed), dict(self.committed))
        self.live.append(instance)
        self.tale.assigned(name, *sorted(owns), generation=self.generation, member=member)
        return instance

    def send(self) -> None:
        item = self.draw(st.sampled_from(sorted(ITEMS)))
        again = self.sent[item] and self.draw(st.integers(0, 3)) == 0
        version = self.draw(st.integers(1, self.sent[item])) if again else self.sent[item] + 1
        self.sent[item] = max(self.sent[item], version)
        self.log[ITEMS[item]].append((item, version))
        self.tale.change(item, version, ITEMS[item])

    def fetch(self, instance: Instance) -> None:
        for partition in sorted(instance.owns):
            first, end = instance.position[partition], len(self.log[partition])
            if first < end:
                last = self.draw(st.integers(first, end - 1))
                self.tale.fetch(instance.name, partition, first, last)
                for offset in range(first, last + 1):
                    item, version = self.log[partition][offset]
                    instance.queues[item].append((partition, offset, version))
                instance.position[partition] = last + 1

    def work(self, instance: Instance) -> None:
        """A step of one of the items that are not held."""
        held = self.held[0] if self.held else None
        ready = [item for item, queue in sorted(instance.queues.items()) if queue and item != held]
        if not ready:
            self.fetch(instance)
        else:
            self.step(instance, self.draw(st.sampled_from(ready)))

    def step(self, instance: Instance, item: str) -> None:
        partition, offset, version = instance.queues[item][0]
        if item not in instance.applied:
            if self.versions[item] == version - 1:
                self.tale.apply(instance.name, item, version)
                self.versions[item] = version
            instance.applied.add(item)
            return
        self.tale.publish(instance.name, item, version, partition=ord(item) % 3)
        instance.applied.discard(item)
        instance.queues[item].pop(0)
        instance.finished[partition].add(offset)

    def commit(self, instance: Instance) -> None:
        for partition in sorted(instance.owns):
            reached = instance.start[partition]
            while reached in instance.finished[partition]:
                reached += 1
            if reached > self.committed[partition]:
                self.committed[partition] = reached
                self.tale.commit(instance.name, partition, reached)

    def hold(self) -> None:
        """The grader holds or refuses the next change of an item that nobody is at."""
        item = self.draw(st.sampled_from(sorted(ITEMS)))
        busy = any(item in each.applied for each in self.everybody())
        version = self.versions[item] + 1
        if self.held or busy or version > self.sent[item]:
            return
        if self.draw(st.booleans()):
            self.tale.fault("applied", item, version, action="fail 40001")
        else:
            self.held = item, version
            self.tale.fault("applied", item, version)

    def release(self) -> None:
        if self.held:
            self.tale.fault("released", *self.held)
            self.held = None

    def everybody(self) -> list[Instance]:
        return [*self.live, *([self.zombie] if self.zombie else [])]

    def crash(self) -> None:
        self.release()
        instance = self.draw(st.sampled_from(self.live))
        self.live.remove(instance)
        self.tale.process(instance.name, "killed")
        self.tale.process(instance.name, "started")
        self.join(instance.name, instance.owns)

    def hand_over(self) -> None:
        """A second instance joins and takes a partition."""
        self.release()
        if len(self.live) == 1 and self.zombie is None:
            (one,) = self.live
            self.move(one, {1}, "second" if one.name == "first" else "first")

    def move(self, old: Instance, partitions: set[int], to: str) -> None:
        for item in sorted(i for i, p in ITEMS.items() if p in partitions):
            if item in old.applied:
                self.step(old, item)
            old.queues.pop(item, None)
        self.commit(old)
        self.tale.pass_time(self.draw(st.sampled_from([0.0, 4.0])))
        old.owns -= partitions
        generation = self.generation + 1
        self.tale.assigned(old.name, *sorted(old.owns), generation=generation, member=old.member)
        self.tale.process(to, "started")
        self.join(to, partitions)

    def freeze(self) -> None:
        """An instance is frozen and evicted; another takes over what it owned."""
        self.release()
        if self.zombie or len(self.live) > 1:
            return
        self.zombie = self.live.pop()
        self.tale.process(self.zombie.name, "frozen")
        name = "second" if self.zombie.name == "first" else "first"
        self.tale.append(
            "left",
            instance=self.zombie.name,
            group="changes-service",
            member=self.zombie.member,
            by="grader",
        )
        self.tale.process(name, "started")
        self.join(name, set(range(PARTITIONS)))

    def thaw(self) -> None:
        """It goes on with what it holds, for a while or to the end, and then ends."""
        self.release()
        if self.zombie is None:
            return
        self.tale.process(self.zombie.name, "thawed")
        for _ in range(self.draw(st.integers(0, 8))):
            if any(self.zombie.queues.values()):
                self.work(self.zombie)
        self.tale.process(self.zombie.name, "exited")
        self.zombie = None

    def finish(self) -> None:
        self.release()
        self.thaw()
        for instance in self.live:
            while any(instance.queues.values()) or any(
                instance.position[p] < len(self.log[p]) for p in instance.owns
            ):
                self.work(instance)
            self.commit(instance)


@st.composite
def tell(draw: st.DrawFn) -> History:
    """The history of a correct program."""
    world = World(draw)
    steps = {
        "send": world.send,
        "work": lambda: world.work(draw(st.sampled_from(world.live))),
        "commit": lambda: world.commit(draw(st.sampled_from(world.live))),
        "hold": world.hold,
        "release": world.release,
        "crash": world.crash,
        "hand_over": world.hand_over,
        "freeze": world.freeze,
        "thaw": world.thaw,
    }
    often = ["send"] * 6 + ["work"] * 12 + ["commit"] * 2 + list(steps)
    for _ in range(3):
        world.send()
    for step in draw(st.lists(st.sampled_from(often), min_size=10, max_size=60)):
        steps[step]()
    world.finish()
    return world.tale.end()
