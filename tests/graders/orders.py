"""Hand-made histories of an order process: two services of the program, the shop and the payments
played by the grader. `Play` tells them fact by fact, and `steady` is a correct one."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from challenges.catalogue import load
from graders.facts import Effect, Output, Sent
from graders.history import History, Recorder

CHALLENGE = load("saga_choreography")
CHECKED = [use.id for use in CHALLENGE.checks]
SCHEMA = Path("challenges/saga_choreography/schema.sql")
GROUPS = {app.name: f"{app.name}-service" for app in CHALLENGE.apps}
TOPIC_OF = {
    "OrderPlaced": "orders",
    "OrderCancelled": "orders",
    "PaymentCaptured": "payments",
    "PaymentDeclined": "payments",
    "StockReserved": "stock_events",
    "StockRejected": "stock_events",
    "StockReleased": "stock_events",
    "OrderShipped": "shipments",
    "OrderFailed": "shipments",
}
READS = {app.name: [f"{name}.t1" for name in app.reads] for app in CHALLENGE.apps}
GOODS = {"product": "prod-1", "quantity": 2, "address": "1 Elm Street"}


class Play(Recorder):
    """A history that is told fact by fact; each is one hundredth of a second after the last.

    Each topic has one partition. What is written is at once handed to and committed by those who
    read it, unless they are in `deaf`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, int] = {}
        self.deaf: set[str] = set()
        self.append(
            "scenario",
            challenge=CHALLENGE.name,
            scenario="a_play",
            seed=7,
            driver="process",
            group=GROUPS["stock"],
            groups={
                GROUPS[app.name]: {"reads": READS[app.name], "effects": list(app.effects)}
                for app in CHALLENGE.apps
            },
            topics={f"{topic.name}.t1": 1 for topic in CHALLENGE.topics},
            outputs={f"{topic.name}.t1": 1 for topic in CHALLENGE.topics if topic.is_written},
            choreography=asdict(CHALLENGE.choreography) if CHALLENGE.choreography else {},
        )
        for app in CHALLENGE.apps:
            self.append("process", instance=app.name, what="started")
            self.append(
                "joined",
                instance=app.name,
                group=GROUPS[app.name],
                member=app.name,
                generation=1,
                protocol="classic",
            )
            self.append(
                "assigned",
                instance=app.name,
                group=GROUPS[app.name],
                member=app.name,
                generation=1,
                partitions=[[topic, 0] for topic in READS[app.name]],
            )

    def now(self) -> float:
        return len(self) / 100

    def _place(self, type: str) -> tuple[str, int]:
        topic = TOPIC_OF[type]
        offset = self.ends.get(topic, 0)
        self.ends[topic] = offset + 1
        return topic, offset

    def send(self, type: str, order: str, cause: str | None = None, id: str = "") -> str:
        """The grader sends an event; its event id."""
        topic, offset = self._place(type)
        id = id or f"{type}-{order}"
        value = event(id, type, order, cause)
        is_order = type == "OrderPlaced"
        row = {name: GOODS[name] for name in ("product", "quantity")}
        self.append(
            "sent",
            topic=f"{topic}.t1",
            partition=0,
            offset=offset,
            key=order,
            id=order if is_order else id,
            value=value | (GOODS if is_order else {}),
            expect={"reservations": row} if is_order else {},
        )
        self.hear(topic, offset)
        return id

    def write(self, type: str, order: str, cause: str, **changes: Any) -> str:
        """A service announces something; its event id."""
        topic, offset = self._place(type)
        app = "stock" if topic == "stock_events" else "shipping"
        value = event(f"{type}-{order}", type, order, cause) | changes
        place = {"topic": topic, "partition": 0, "offset": offset}
        self.append("output", **place, key=order, value=value, instance=app)
        self.hear(topic, offset)
        return str(value["event_id"])

    def hear(self, topic: str, offset: int) -> None:
        """Whoever reads a topic is handed a record and commits past it."""
        for app, reads in READS.items():
            if f"{topic}.t1" in reads and app not in self.deaf:
                self.fetch(app, topic, offset)

    def fetch(self, app: str, topic: str, offset: int) -> None:
        """A service is handed a record."""
        place = {"topic": f"{topic}.t1", "partition": 0}
        self.append("fetched", instance=app, **place, first=offset, last=offset)

    def commit(self, app: str, topic: str, offset: int) -> None:
        """A service commits past a record."""
        self.append(
            "commit",
            instance=app,
            group=GROUPS[app],
            topic=f"{topic}.t1",
            partition=0,
            offset=offset + 1,
            outcome="accepted",
        )

    def row(self, table: str, order: str, **changes: Any) -> None:
        """A service commits a row."""
        app = "shipping" if table == "deliveries" else "stock"
        content = {**GOODS, **changes}
        if table != "deliveries":
            del content["address"]
        self.append(
            "effect",
            table=table,
            row=len(self),
            id=order,
            content=content,
            instance=app,
            txid=str(len(self)),
            committed_t=self.now(),
        )

    def hold(self, what: str, table: str, order: str) -> None:
        """The grader holds back a row, or lets it go."""
        self.append(
            "fault",
            fault="s1",
            what=what,
            action="hold",
            target=f"COMMIT of {table}",
            row={"order_id": order},
        )

    def reserve(self, order: str) -> str:
        """An order is placed and its goods are reserved."""
        placed = self.send("OrderPlaced", order)
        self.row("reservations", order)
        return self.write("StockReserved", order, placed)

    def ship(self, order: str) -> None:
        """An order goes the good way."""
        captured = self.send("PaymentCaptured", order, self.reserve(order))
        self.row("deliveries", order)
        self.write("OrderShipped", order, captured)

    def fail(self, order: str, bad: str = "PaymentDeclined") -> str:
        """A reserved order fails; the event id of its failure."""
        news = self.send(bad, order, None)
        return self.write("OrderFailed", order, news)

    def release(self, order: str, failed: str) -> None:
        """The goods of a failed order are put back."""
        self.row("releases", order)
        self.write("StockReleased", order, failed)

    def reject(self, order: str) -> None:
        """An order is rejected and fails. It was not to be reserved, so nothing is expected."""
        placed = self.send("OrderPlaced", order)
        rejected = self.write("StockRejected", order, placed)
        self.write("OrderFailed", order, rejected)

    def end(self, *, quiet: bool = True) -> History:
        """The finished history: committed, at rest, read to the end, with the stock's state."""
        for app, reads in READS.items() if quiet else ():
            for topic in reads:
                name = topic.partition(".")[0]
                if end := self.ends.get(name):
                    self.commit(app, name, end - 1)
        self.append("settled", quiet=quiet, waited_s=0.5, unmet=[] if quiet else ["something"])
        self.append("phase", name="drain")
        for sent in self.of(Sent):
            place = {"topic": sent.topic, "partition": 0, "offset": sent.offset}
            self.append("record", **place, key=sent.key, id=sent.id)
        for output in self.of(Output):
            place = {"topic": f"{output.topic}.t1", "partition": 0, "offset": output.offset}
            self.append("record", **place, key=output.key, id=None)
        assert CHALLENGE.tally is not None
        rows = list(CHALLENGE.tally(self.of(Effect))["stock"])
        state = {"table": "stock", "key": ["product"], "rows": rows, "expected": rows}
        self.append("state", **state)
        return History(self)


def event(id: str, type: str, order: str, cause: str | None) -> dict[str, Any]:
    """An event's value."""
    return {
        "event_id": id,
        "type": type,
        "order_id": order,
        "correlation_id": f"req-{order}",
        "causation_id": cause,
    }


def steady() -> Play:
    """Three orders: one is shipped, one is declined and released, one is cancelled and released."""
    play = Play()
    play.ship("ord-1")
    for order, bad in (("ord-2", "PaymentDeclined"), ("ord-3", "OrderCancelled")):
        play.reserve(order)
        play.release(order, play.fail(order, bad))
    return play
