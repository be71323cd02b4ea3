"""Hand-made histories, written as short stories.

    h = Tale()
    h.send("pay-1", 0)                 # payments-0@0
    h.fetch("app", 0, 0, 0)
    h.effect("app", "pay-1")
    h.commit("app", 0, 1)
    history = h.end()

`end` adds what every finished run has: a quiet end, the drained topics, the final state.
"""

from collections.abc import Iterable
from typing import Any

from graders.checks import CHECKS, HARNESS, Finding, check
from graders.history import History, Recorder
from graders.verdicts import Verdict

TOPIC = "payments.t1"
SHORT = "payments"


class Tale(Recorder):
    """A history that is told fact by fact; each is one hundredth of a second after the last."""

    def __init__(
        self,
        partitions: int = 3,
        needs: tuple[str, ...] = (),
        groups: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__()
        self.ends: dict[int, int] = {}
        self.log: list[dict[str, Any]] = []
        self.rows: dict[str, int] = {}
        self.members: set[str] = set()
        self.append(
            "scenario",
            challenge="idempotent_consumer",
            scenario="a_tale",
            seed=7,
            driver="process",
            group="payments-service",
            topics={TOPIC: partitions},
            needs=list(needs),
            groups=groups or {},
            **more,
        )

    def now(self) -> float:
        return len(self) / 100

    def send(
        self,
        id: str,
        partition: int,
        account: str | None = "acc-1",
        amount: int = 10,
        **more: Any,
    ):
        offset = self.ends.get(partition, 0)
        self.ends[partition] = offset + 1
        place = {"topic": TOPIC, "partition": partition, "offset": offset}
        value = {"id": id, "account": account, "amount": amount}
        content = {"account": account, "amount": amount}
        self.log.append({**place, "key": account, "id": id})
        expect = more.pop("expect", {"ledger": content})
        return self.append("sent", **place, key=account, id=id, value=value, expect=expect, **more)

    def fetch(self, instance: str, partition: int, first: int, last: int):
        return self.append(
            "fetched", instance=instance, topic=TOPIC, partition=partition, first=first, last=last
        )

    def effect(self, instance: str, id: str, table: str = "ledger", **changes: Any):
        sent = next((f for f in self if getattr(f, "value", {}).get("id") == id), None)
        content = dict(sent.value) if sent else {"id": id, "account": "acc-1", "amount": 10}
        content.pop("id")
        committed_t = changes.pop("committed_t", self.now())
        content |= changes
        account = content["account"]
        self.rows[account] = self.rows.get(account, 0) + content["amount"]
        number = len(self)
        return self.append(
            "effect",
            table=table,
            row=number,
            id=id,
            content=content,
            instance=instance,
            txid=str(number),
            committed_t=committed_t,
        )

    def join(self, instance: str, generation: int = 1, group: str = "payments-service"):
        self.members.add(instance)
        return self.append(
            "joined",
            instance=instance,
            group=group,
            member=f"{instance}-1",
            generation=generation,
            protocol="classic",
        )

    def commit(self, instance: str, partition: int, offset: int, outcome="accepted", **more: Any):
        if not more.pop("stranger", False) and instance not in self.members:
            self.join(instance)
        return self.append(
            "commit",
            instance=instance,
            topic=TOPIC,
            partition=partition,
            offset=offset,
            outcome=outcome,
            **({"group": "payments-service"} | more),
        )

    def process(self, instance: str, what: str, **more: Any):
        return self.append("process", instance=instance, what=what, **more)

    def assigned(
        self,
        instance: str,
        *partitions: int,
        generation: int = 1,
        member: str = "",
        group: str = "payments-service",
    ):
        return self.append(
            "assigned",
            instance=instance,
            group=group,
            member=member or f"{instance}-1",
            generation=generation,
            partitions=[[TOPIC, p] for p in partitions],
        )

    def fault(self, what: str, action="hold", target="OffsetCommit", id: str = "f1", **row: Any):
        return self.append("fault", fault=id, what=what, action=action, target=target, row=row)

    def aftershock(self):
        return self.append("phase", name="aftershock")

    def settle(self, **fields: Any):
        return self.append("settled", **({"quiet": True, "waited_s": 0.4} | fields))

    def handle(self, instance: str, partition: int, *ids: str):
        """Fetch, apply and commit events that were sent to this partition and nothing else."""
        for id in ids:
            offset = next(r["offset"] for r in self.log if r["id"] == id)
            self.fetch(instance, partition, offset, offset)
            self.effect(instance, id)
            self.commit(instance, partition, offset + 1)

    def end(self, *, settled: bool = True, **fields: Any) -> History:
        """The finished history, with the state that the effects made."""
        if settled:
            self.settle(**fields)
        self.append("phase", name="drain")
        for record in self.log:
            self.append("record", **record)
        sums: dict[str, int] = {}
        for value in {f.id: f.value for f in self if type(f).__name__ == "Sent"}.values():
            sums[value["account"]] = sums.get(value["account"], 0) + value["amount"]
        self.append(
            "state",
            table="balances",
            key=["account"],
            rows=[{"account": a, "balance": b} for a, b in self.rows.items()],
            expected=[{"account": a, "balance": b} for a, b in sums.items()],
            absent={"balance": 0},
        )
        return History(self)


ALL = [id for id in CHECKS if id not in HARNESS]


# Payments may be booked in any order, and what a clean stop leaves uncommitted is COM-2's alone.
UNORDERED = [id for id in CHECKS if not id.startswith(("ORD-", "SHU-"))]


def verdicts(history: History, ids: Iterable[str] = UNORDERED) -> dict[str, Verdict]:
    """What each check that found something found, by id: the first finding's verdict."""
    found: dict[str, Verdict] = {}
    for finding in check(history, ids):
        found.setdefault(finding.check, finding.verdict)
    return found


def findings(history: History, id: str) -> list[Finding]:
    """What one check found."""
    return check(history, [id])


def steady() -> Tale:
    """Six events on two partitions, each handled once."""
    tale = Tale()
    tale.process("app", "started")
    tale.assigned("app", 0, 1, 2)
    for number in range(6):
        tale.send(f"pay-{number}", number % 2, account=f"acc-{number}", amount=10 + number)
    for number in range(6):
        tale.handle("app", number % 2, f"pay-{number}")
    return tale
