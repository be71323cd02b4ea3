"""A small reference model: a broker, a correct program, and everything that may befall it.

`tell` plays a program that is correct by construction through a random course of sends, fetches,
work, commits, crashes and pauses, and returns its history. The program may be of any honest style:
commits per record, per batch or on a whim, at once or late; work in order or by a pool; commits of
the finished prefix only; one memory of applied events, in the database.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import strategies as st

from graders.history import History
from tests.graders.histories import Tale

PARTITIONS = 3


@dataclass
class Instance:
    name: str
    owns: tuple[int, ...] = ()
    position: dict[int, int] = field(default_factory=dict)
    queue: list[tuple[int, int]] = field(default_factory=list)
    finished: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    start: dict[int, int] = field(default_factory=dict)
    pending: list[tuple[int, int]] = field(default_factory=list)  # commits under way

    def prefix(self, partition: int) -> int:
        offset = self.start[partition]
        while offset in self.finished[partition]:
            offset += 1
        return offset


class World:
    def __init__(self, draw: st.DrawFn, pool: int, late_commits: bool, api: str) -> None:
        self.draw, self.pool, self.late, self.api = draw, pool, late_commits, api
        self.tale = Tale(PARTITIONS)
        self.log: dict[int, list[str]] = {p: [] for p in range(PARTITIONS)}
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.applied: set[str] = set()
        self.generation = 0
        self.app = self.join(Instance("app"))
        self.zombie: Instance | None = None

    def join(self, instance: Instance) -> Instance:
        """The instance starts, or takes over, and owns everything from the committed offsets on."""
        self.generation += 1
        instance.owns = tuple(range(PARTITIONS))
        instance.position = dict(self.committed)
        instance.start = dict(self.committed)
        instance.queue, instance.pending = [], []
        instance.finished = defaultdict(set)
        self.tale.assigned(instance.name, *instance.owns, generation=self.generation)
        return instance

    def send(self) -> None:
        known = [id for ids in self.log.values() for id in ids]
        partition = self.draw(st.integers(0, PARTITIONS - 1))
        again = known and self.draw(st.integers(0, 4)) == 0
        id = self.draw(st.sampled_from(known)) if again else f"pay-{len(set(known))}"
        number = int(id.split("-")[1])
        self.log[partition].append(id)
        # Amounts differ, so no two events look alike.
        self.tale.send(id, partition, account=f"acc-{number % 4}", amount=number + 1)

    def fetch(self, instance: Instance) -> None:
        for partition in instance.owns:
            first, end = instance.position[partition], len(self.log[partition])
            if first < end:
                last = self.draw(st.integers(first, end - 1))
                self.tale.fetch(instance.name, partition, first, last)
                instance.queue += [(partition, offset) for offset in range(first, last + 1)]
                instance.position[partition] = last + 1

    def work(self, instance: Instance) -> None:
        if not instance.queue:
            self.fetch(instance)
            return
        index = self.draw(st.integers(0, min(self.pool, len(instance.queue)) - 1))
        partition, offset = instance.queue.pop(index)
        id = self.log[partition][offset]
        if id not in self.applied:
            self.applied.add(id)
            self.tale.effect(instance.name, id)
        instance.finished[partition].add(offset)

    def commit(self, instance: Instance) -> None:
        for partition in instance.owns:
            offset = instance.prefix(partition)
            if offset > self.committed[partition]:
                instance.pending.append((partition, offset))
        if not self.late or self.draw(st.booleans()):
            self.flush(instance)

    def flush(self, instance: Instance) -> None:
        for partition, offset in instance.pending:
            if instance is self.app:
                self.committed[partition] = offset
                self.tale.commit(instance.name, partition, offset, api=self.api)
            else:
                self.tale.commit(
                    instance.name,
                    partition,
                    offset,
                    outcome="rejected",
                    error="UNKNOWN_MEMBER_ID",
                    api=self.api,
                )
        instance.pending = []

    def crash(self) -> None:
        what = self.draw(st.sampled_from(["killed", "exited"]))
        self.tale.process(self.app.name, what)
        self.tale.process(self.app.name, "restarted" if what == "exited" else "started")
        self.join(self.app)

    def pause(self) -> None:
        """The instance is frozen and evicted; another takes over."""
        if self.zombie:
            return
        self.zombie = self.app
        self.tale.process(self.zombie.name, "frozen")
        name = "second" if self.zombie.name == "app" else "app"
        self.tale.process(name, "started")
        self.app = self.join(Instance(name))

    def resume(self) -> None:
        """The zombie goes on: it finishes what it holds, is refused, and ends."""
        if self.zombie:
            self.tale.process(self.zombie.name, "thawed")
            self.zombie.owns = self.zombie.owns if self.zombie.queue else ()
            while self.zombie.queue:
                self.work(self.zombie)
            self.flush(self.zombie)
            self.tale.process(self.zombie.name, "exited")
            self.zombie = None

    def finish(self) -> None:
        """Everything is dealt with and committed."""
        self.resume()
        while self.app.queue or any(
            self.app.position[p] < len(self.log[p]) for p in range(PARTITIONS)
        ):
            self.work(self.app)
        self.commit(self.app)
        self.flush(self.app)


@st.composite
def tell(draw: st.DrawFn) -> History:
    """The history of a correct program."""
    world = World(
        draw,
        pool=draw(st.sampled_from([1, 1, 3])),
        late_commits=draw(st.booleans()),
        api=draw(st.sampled_from(["OffsetCommit", "OffsetCommit", "TxnOffsetCommit"])),
    )
    steps = {
        "send": world.send,
        "work": lambda: world.work(world.app),
        "commit": lambda: world.commit(world.app),
        "crash": world.crash,
        "pause": world.pause,
        "resume": world.resume,
    }
    often = ["send"] * 4 + ["work"] * 6 + ["commit"] * 3 + ["crash", "pause", "resume"]
    world.send()
    for step in draw(st.lists(st.sampled_from(often), min_size=5, max_size=40)):
        steps[step]()
    world.finish()
    if draw(st.booleans()):
        world.tale.settle()
        world.tale.aftershock()
        world.tale.process(world.app.name, "terminated")
        world.tale.process(world.app.name, "stopped")
        world.send()
        world.tale.process(world.app.name, "started")
        world.join(world.app)
        world.finish()
    return world.tale.end()
