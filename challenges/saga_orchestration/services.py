"""The three services that the grader plays, and their books.

What a service did is remembered by the command's id. An undo names the command that it undoes: if
that was done it is taken back, else it is barred for ever. Nothing here looks at the order: a
second charge or a second refund with an id of its own moves money again.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from graders.conditions import Condition
from graders.facts import Sent
from graders.lab import Lab
from graders.participants import DONE, IGNORED, REFUSED, Command, Participant, Script
from graders.spec import OutputRecord

# What each action's command must carry, besides id, order and action.
FIELDS: Mapping[str, Mapping[str, type]] = {
    "reserve": {"sku": str, "quantity": int},
    "release": {"undoes": str},
    "charge": {"customer": str, "amount": int},
    "refund": {"undoes": str},
    "ship": {"customer": str},
    "deduct": {"sku": str, "quantity": int},
}
PLENTY = 1_000_000

Outcome = tuple[str, Mapping[str, Any]]


class Books:
    """What was done, by the command's id, and what is barred."""

    def __init__(self) -> None:
        self.moved: dict[str, Mapping[str, Any]] = {}
        self.barred: set[str] = set()

    def do(self, command: Command) -> Outcome:
        if command.id in self.barred:
            return REFUSED, {}
        self.moved[command.id] = {name: command.value[name] for name in FIELDS[command.action]}
        return DONE, self.moved[command.id]

    def undo(self, command: Command) -> Outcome:
        undone = command.value["undoes"]
        if undone in self.moved:
            return DONE, self.moved[undone]
        self.barred.add(undone)
        return IGNORED, {}


class Stock(Books):
    """Books that also know how much of each article is free."""

    def __init__(self) -> None:
        super().__init__()
        self.free: defaultdict[str, int] = defaultdict(lambda: PLENTY)

    def reserve(self, command: Command) -> Outcome:
        sku, quantity = command.value["sku"], command.value["quantity"]
        if self.free[sku] < quantity:
            return REFUSED, {}
        outcome, moved = self.do(command)
        if outcome == DONE:
            self.free[sku] -= quantity
        return outcome, moved

    def release(self, command: Command) -> Outcome:
        outcome, moved = self.undo(command)
        if outcome == DONE:
            self.free[moved["sku"]] += moved["quantity"]
        return outcome, moved


class Services:
    """The stock, the payment provider and the forwarder, at work from now on."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.books = Stock()
        payment, shipping = Books(), Books()
        self.stock = self._service(
            "stock", reserve=self.books.reserve, release=self.books.release, deduct=self.books.do
        )
        self.payment = self._service("payment", charge=payment.do, refund=payment.undo)
        self.shipping = self._service("shipping", ship=shipping.do)

    def script(self, order: str, action: str, **how: Any) -> None:
        """Have the service behave so when it is asked for this action of an order; see `Script`."""
        for service in (self.stock, self.payment, self.shipping):
            if action in service.deeds:
                service.scripts[order, action] = Script(**how)

    def refuses(self, order: str, action: str) -> bool:
        """Whether an action of an order is to be refused."""
        services = (self.stock, self.payment, self.shipping)
        return any(s.scripts.get((order, action), Script()).refuses for s in services)

    async def repeat_replies(self, order: str) -> None:
        """Send all replies about an order once more, as they were."""
        replies = [s for s in self.lab.history.of(Sent) if s.role == "answer" and s.key == order]
        for reply in replies:
            await self.lab.answer("replies", reply.id, order, reply.value)

    async def reply_to_other(self, order: str, service: str, action: str, status: str) -> Sent:
        """Send the reply to a command of another department, about this order; what was sent."""
        command = f"other-{self.lab.rng.getrandbits(48):012x}"
        value = reply(Command(command, order, action, {}), service, status)
        return await self.lab.answer("replies", f"{command}~1", order, value)

    def _service(self, name: str, **deeds: Any) -> Participant:
        service = Participant(
            self.lab,
            name,
            "replies",
            deeds,
            read=lambda record: read(record, deeds),
            answer=lambda command, status: reply(command, name, status),
        )
        service.attend(f"{name}-commands")
        return service


def read(record: OutputRecord, deeds: Mapping[str, Any]) -> Command | None:
    """The command in a record; None when it is none that a service with these deeds knows."""
    value = record.json if isinstance(record.json, dict) else {}
    action = value.get("action")
    if not isinstance(action, str) or action not in deeds:
        return None
    needed = {"id": str, "order": str, **FIELDS[action]}
    if any(type(value.get(name)) is not kind for name, kind in needed.items()):
        return None
    return Command(value["id"], value["order"], action, value)


def reply(command: Command, service: str, status: str) -> dict[str, Any]:
    """A service's reply to a command."""
    return {
        "command": command.id,
        "order": command.subject,
        "service": service,
        "action": command.action,
        "status": status,
    }


class Gate:
    """A moment that the scenario chooses: `opened` holds once `open` was called."""

    def __init__(self, lab: Lab, text: str) -> None:
        self._lab = lab
        self._is_open = False
        self.opened = Condition(text, lambda _: self._is_open)

    def open(self) -> None:
        self._is_open = True
        self._lab.history.touch()
