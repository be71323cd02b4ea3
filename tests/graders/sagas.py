"""Hand-made histories of sagas, and a model that makes correct ones.

    h = SagaTale()
    h.order("ord-1")
    h.step("ord-1", "reserve")
    h.step("ord-1", "charge", "refused")
    h.step("ord-1", "release")
    h.outcome("ord-1", "cancelled")
    history = h.end()

`World` plays an orchestrator that is correct by construction, with its three services, through a
random course: replies lost, late and repeated, refusals, silence, crashes.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from hypothesis import strategies as st

from challenges.catalogue import load
from graders.checks import HARNESS, check
from graders.history import History, Recorder
from graders.verdicts import Verdict

ORDERS, REPLIES = "orders.t1", "replies.t1"
CHALLENGE = load("saga_orchestration")
SAGA = asdict(CHALLENGE.saga)
SERVICE = {
    "reserve": "stock", "release": "stock", "deduct": "stock",
    "charge": "payment", "refund": "payment",
    "ship": "shipping",
}  # fmt: skip
UNDOES = {"release": "reserve", "refund": "charge"}
MOVES = {step["action"]: step["moves"] for step in SAGA["steps"]}
NEXT = {
    ("reserve", "done"): "charge",
    ("charge", "done"): "ship",
    ("ship", "done"): "deduct",
    ("deduct", "done"): "completed",
    ("reserve", "refused"): "cancelled",
    ("charge", "refused"): "release",
    ("ship", "refused"): "refund",
    ("refund", "done"): "release",
    ("release", "done"): "cancelled",
}
GIVE_UP = {"reserve": "release", "charge": "refund"}


def judged(history: History) -> dict[str, Verdict]:
    """What each check of the challenge found, by id: the first finding's verdict."""
    found: dict[str, Verdict] = {}
    for finding in check(history, (*HARNESS, *(use.id for use in CHALLENGE.checks))):
        found.setdefault(finding.check, finding.verdict)
    return found


class SagaTale(Recorder):
    """A history that is told fact by fact; each is one hundredth of a second after the last."""

    def __init__(self) -> None:
        super().__init__()
        self.later = 0.0
        self.log: list[dict[str, Any]] = []
        self.ends: dict[tuple[str, int], int] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.append(
            "scenario",
            challenge="saga_orchestration",
            scenario="a_tale",
            seed=7,
            driver="process",
            group="orders-service",
            topics={ORDERS: 3, REPLIES: 3},
            outputs={},
            repeats=["order-outcomes"],
            saga=SAGA,
        )
        self.process("app", "started")

    def now(self) -> float:
        return self.later + len(self) / 100

    def wait(self, seconds: float) -> None:
        """Let time pass in which nothing happens."""
        self.later += seconds

    def process(self, instance: str, what: str):
        return self.append("process", instance=instance, what=what)

    def order(self, id: str, amount: int = 100, quantity: int = 1):
        """An order is sent (again) and handed to the program."""
        value = {"id": id, "customer": "cus-1", "sku": "sku-1", "quantity": quantity}
        value = self.orders.setdefault(id, value | {"amount": amount})
        sent = self._sent(ORDERS, id, id, value, {"order-outcomes": {}}, "event")
        self.append(
            "fetched",
            instance="app",
            topic=ORDERS,
            partition=0,
            first=sent.offset,
            last=sent.offset,
        )
        return sent

    def command(self, order: str, action: str, id: str = "", **more: Any):
        """The program asks for an action; a command's id is "ord-1/charge" by itself."""
        value = {"id": id or f"{order}/{action}", "order": order, "action": action}
        if action in UNDOES:
            value["undoes"] = f"{order}/{UNDOES[action]}"
        else:
            value |= {name: self.orders.get(order, {}).get(name) for name in MOVES[action]}
        topic = f"{SERVICE[action]}-commands"
        return self.append(
            "output",
            topic=topic,
            partition=0,
            offset=self._offset(topic, 0),
            key=order,
            value=value | more,
            instance="app",
        )

    def deed(self, order: str, action: str, outcome: str = "done", id: str = ""):
        """A service deals with a command."""
        step = UNDOES.get(action, action)
        content = {name: self.orders[order][name] for name in MOVES[step]}
        return self.append(
            "performed",
            participant=SERVICE[action],
            action=action,
            id=id or f"{order}/{action}",
            subject=order,
            outcome=outcome,
            content=content if outcome == "done" else {},
        )

    def reply(self, order: str, action: str, status: str = "done", command: str = ""):
        """A service replies."""
        value = {
            "command": command or f"{order}/{action}",
            "order": order,
            "service": SERVICE[action],
            "action": action,
            "status": status,
        }
        return self._sent(REPLIES, f"{value['command']}~1", order, value, {}, "answer")

    def step(self, order: str, action: str, status: str = "done", id: str = ""):
        """An action is asked for, dealt with, and the reply is there."""
        self.command(order, action, id)
        deed = self.deed(order, action, status, id)
        self.reply(order, action, status, id)
        return deed

    def outcome(self, order: str, word: str, by: str = "app", later: float = 0.0):
        """The program tells how an order ended, so many seconds later than now."""
        return self.append(
            "effect",
            table="order-outcomes",
            row=self._offset("order-outcomes", 0),
            id=order,
            content={"outcome": word},
            instance=by,
            txid="",
            committed_t=self.now() + later,
            partition=0,
            key=order,
        )

    def complete(self, order: str):
        """An order goes well."""
        self.order(order)
        for action in MOVES:
            self.step(order, action)
        self.outcome(order, "completed")

    def settle(self, **fields: Any):
        return self.append("settled", **({"quiet": True, "waited_s": 0.4} | fields))

    def end(self, *, settled: bool = True, **fields: Any) -> History:
        """The finished history."""
        if settled:
            self.settle(**fields)
        self.append("phase", name="drain")
        for record in self.log:
            self.append("record", **record)
        return History(self)

    def _sent(self, topic: str, id: str, key: str, value: Any, expect: Any, role: str):
        offset = self._offset(topic, 0)
        place = {"topic": topic, "partition": 0, "offset": offset, "key": key, "id": id}
        self.log.append(place)
        return self.append("sent", **place, value=value, expect=expect, role=role)

    def _offset(self, topic: str, partition: int) -> int:
        self.ends[topic, partition] = self.ends.get((topic, partition), -1) + 1
        return self.ends[topic, partition]


@dataclass
class Order:
    """What the model's orchestrator and services know of an order."""

    id: str
    asked: str = "reserve"
    sent: bool = False
    waited: bool = False
    waiting: list[str] = field(default_factory=list)  # commands that services have yet to read
    replies: list[tuple[str, str]] = field(default_factory=list)
    status: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    barred: set[str] = field(default_factory=set)
    refuses: str = ""

    @property
    def over(self) -> bool:
        return self.asked == ""


class World:
    """A correct orchestrator and its services."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.tale = SagaTale()
        self.orders: list[Order] = []
        self.patient = draw(st.booleans())

    def begin(self) -> None:
        refuses = self.draw(st.sampled_from(["", "", "reserve", "charge", "ship"]))
        order = Order(f"ord-{len(self.orders)}", refuses=refuses)
        self.orders.append(order)
        number = len(self.orders)
        self.tale.order(order.id, amount=100 * number, quantity=number)

    def again(self) -> None:
        """An order comes once more, and changes nothing."""
        if self.orders:
            self.tale.order(self.draw(st.sampled_from(self.orders)).id)

    def act(self, order: Order) -> None:
        """The orchestrator sends what is to be sent, or reads a reply."""
        if order.over:
            return
        if order.asked in ("completed", "cancelled"):
            self.tale.outcome(order.id, order.asked)
            order.asked = ""
        elif not order.sent:
            self.tale.command(order.id, order.asked)
            order.waiting.append(order.asked)
            order.sent, order.waited = True, False
        elif order.replies:
            self.read(order)
        elif order.waited:
            self.no_reply(order)

    def read(self, order: Order) -> None:
        action, status = order.replies.pop(0)
        if action == order.asked and status != "unavailable":
            order.asked, order.sent = NEXT[action, status], False
        elif action == order.asked:
            order.sent = False

    def no_reply(self, order: Order) -> None:
        if not self.patient and order.asked in GIVE_UP and self.draw(st.booleans()):
            order.asked = GIVE_UP[order.asked]
        order.sent = False

    def serve(self, order: Order) -> None:
        """A service works on any of the commands that lie before it."""
        if not order.waiting:
            return
        action = order.waiting.pop(self.draw(st.integers(0, len(order.waiting) - 1)))
        if action in order.status:
            self.answer(order, action, "repeated")
        elif self.draw(st.integers(0, 5)) == 5:
            self.tale.deed(order.id, action, "unavailable")
            if action == order.asked:
                order.waiting.append(action)
        else:
            self.decide(order, action)

    def decide(self, order: Order, action: str) -> None:
        outcome = "done"
        if action in UNDOES:
            order.barred.add(UNDOES[action])
            outcome = "done" if UNDOES[action] in order.done else "ignored"
        elif action == order.refuses or action in order.barred:
            outcome = "refused"
        else:
            order.done.add(action)
        order.status[action] = "done" if outcome == "ignored" else outcome
        self.answer(order, action, outcome)

    def answer(self, order: Order, action: str, outcome: str) -> None:
        """The reply goes out once, several times, or is lost."""
        self.tale.deed(order.id, action, outcome)
        for _ in range(self.draw(st.sampled_from([1, 1, 1, 2, 0]))):
            self.tale.reply(order.id, action, order.status[action])
            order.replies.append((action, order.status[action]))

    def pause(self) -> None:
        """More than two seconds pass."""
        self.tale.wait(self.draw(st.sampled_from([2.1, 3.0])))
        for order in self.orders:
            order.waited = True

    def crash(self) -> None:
        """The orchestrator dies; its state does not. An outcome may be told again."""
        self.tale.process("app", "killed")
        self.tale.process("app", "started")
        for order in self.orders:
            if not order.over and order.sent:
                order.sent = self.draw(st.booleans())

    def finish(self) -> None:
        for order in self.orders:
            while not order.over:
                self.act(order)
                self.serve(order)
                if order.sent and not order.replies and not order.waiting:
                    self.pause()
            while order.waiting:
                self.serve(order)


@st.composite
def saga_histories(draw: st.DrawFn) -> History:
    """The history of a correct orchestrator."""
    world = World(draw)
    world.begin()

    def some() -> Order:
        return draw(st.sampled_from(world.orders))

    steps = {
        "begin": world.begin,
        "again": world.again,
        "act": lambda: world.act(some()),
        "serve": lambda: world.serve(some()),
        "pause": world.pause,
        "crash": world.crash,
    }
    often = ["begin"] * 2 + ["act"] * 8 + ["serve"] * 6 + ["pause", "again", "crash"]
    for step in draw(st.lists(st.sampled_from(often), min_size=10, max_size=60)):
        steps[step]()
    world.finish()
    return world.tale.end()
