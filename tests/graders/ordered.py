"""Hand-made histories of changes that are applied to a table and published to a topic.

tale = OrderedTale()
tale.change("item-a", 1, partition=2)      # chg-item-a-1 at changes-2@0
tale.apply("app", "item-a", 1)             # a row in applied
tale.publish("app", "item-a", 1)           # a record in updates
"""

from dataclasses import replace
from typing import Any

from graders.checks import HARNESS
from graders.facts import Sent
from graders.history import History, Recorder

CHANGES, UPDATES = "changes.t1", "updates.t1"
CHECKED = (
    *HARNESS,
    *("ORD-1", "ORD-2", "ORD-3", "ORD-4", "EFF-7", "REB-1", "REB-3", "GRD-2", "GRD-3", "GRD-4"),
    *("EFF-1", "EFF-2", "EFF-3", "EFF-5", "COM-1", "COM-3", "COM-5"),
)


def without_keys(history: History) -> History:
    """The same history, had the records been sent without a key."""
    return History(replace(f, key=None) if isinstance(f, Sent) else f for f in history)


def id_of(item: str, version: int) -> str:
    """The id of a change in a tale."""
    return f"chg-{item}-{version}"


class OrderedTale(Recorder):
    """A history that is told fact by fact; each is one hundredth of a second after the last."""

    def __init__(self, partitions: int = 4) -> None:
        super().__init__()
        self.log: list[dict[str, Any]] = []
        self.ends: dict[int, int] = {}
        self.written: dict[int, int] = {}
        self.late = 0.0
        self.append(
            "scenario",
            challenge="ordered_updates",
            scenario="a_tale",
            seed=7,
            driver="process",
            group="changes-service",
            topics={CHANGES: partitions},
            outputs={UPDATES: 3},
            repeats=["updates"],
        )

    def now(self) -> float:
        return len(self) / 100 + self.late

    def pass_time(self, seconds: float) -> None:
        self.late += seconds

    def change(self, item: str, version: int, partition: int = 0, **more: Any):
        offset = self.ends.get(partition, 0)
        self.ends[partition] = offset + 1
        id, place = id_of(item, version), {"topic": CHANGES, "partition": partition}
        self.log.append({**place, "offset": offset, "key": item, "id": id})
        content = {"item": item, "version": version}
        return self.append(
            "sent",
            **place,
            offset=offset,
            key=item,
            id=id,
            value={"id": id, **content},
            expect={"applied": content, "updates": content},
            **more,
        )

    def fetch(self, instance: str, partition: int, first: int, last: int):
        return self.append(
            "fetched", instance=instance, topic=CHANGES, partition=partition, first=first, last=last
        )

    def effect(self, instance: str, item: str, version: int, **fields: Any):
        return self.append(
            "effect",
            id=id_of(item, version),
            content={"item": item, "version": version},
            instance=instance,
            txid=str(len(self)),
            **{"committed_t": self.now(), **fields},
        )

    def apply(self, instance: str, item: str, version: int):
        return self.effect(instance, item, version, table="applied", row=len(self))

    def publish(self, instance: str, item: str, version: int, partition: int = 1, **fields: Any):
        row = self.written.get(partition, 0)
        self.written[partition] = row + 1
        fields = {"key": item, "payload": "{}"} | fields
        return self.effect(
            instance, item, version, table="updates", row=row, partition=partition, **fields
        )

    def handle(self, instance: str, item: str, *versions: int):
        """Apply and publish these versions, one after the other."""
        for version in versions:
            self.apply(instance, item, version)
            self.publish(instance, item, version)

    def commit(self, instance: str, partition: int, offset: int):
        return self.append(
            "commit",
            instance=instance,
            group="changes-service",
            topic=CHANGES,
            partition=partition,
            offset=offset,
            outcome="accepted",
        )

    def assigned(self, instance: str, *partitions: int, generation: int = 1, member: str = ""):
        return self.append(
            "assigned",
            instance=instance,
            group="changes-service",
            member=member or f"{instance}-1",
            generation=generation,
            partitions=[[CHANGES, p] for p in partitions],
        )

    def process(self, instance: str, what: str):
        return self.append("process", instance=instance, what=what)

    def fault(self, what: str, item: str, version: int, action: str = "hold"):
        id = id_of(item, version)
        return self.append(
            "fault",
            fault=f"s-{id}",
            what=what,
            action=action,
            target=f"write to applied with change_id {id}",
            row={"change_id": id},
        )

    def end(self, **settled: Any) -> History:
        """The finished history: quiet, and the topics read to their end."""
        self.append("settled", **({"quiet": True, "waited_s": 0.4} | settled))
        self.append("phase", name="drain")
        for record in self.log:
            self.append("record", **record)
        return History(self)
