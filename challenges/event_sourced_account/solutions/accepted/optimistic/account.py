"""An account, as its events make it."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


def upcast(row):
    """A row of the log as an event of format 2."""
    version, command, type, format, data, recorded_at = row
    amount = data["amount"]
    if format == 1:
        cents = int(Decimal(amount).scaleb(2))
        type, amount = ("deposited", cents) if cents > 0 else ("withdrawn", -cents)
    return {"version": version, "command": command, "type": type, "amount": amount,
            "recorded_at": recorded_at}


@dataclass
class Account:
    name: str
    rows: list
    events: list = field(init=False)

    def __post_init__(self):
        self.events = [upcast(row) for row in self.rows]

    @property
    def version(self):
        return len(self.rows)

    @property
    def balance(self):
        return sum(e["amount"] if e["type"] == "deposited" else -e["amount"] for e in self.events)

    def event_of(self, command):
        return next((event for event in self.events if event["command"] == command), None)

    def until(self, version):
        return Account(self.name, self.rows[:version])

    def as_of(self, query):
        """The account at the moment that a query names; without events when there was none."""
        if "version" in query:
            version = int(query["version"])
            return self.until(version if version <= self.version else 0)
        if "at" in query:
            at = datetime.fromisoformat(query["at"])
            return self.until(max(
                (e["version"] for e in self.events if e["recorded_at"] <= at), default=0))
        return self

    def history(self):
        names = ("version", "type", "amount")
        return [{name: event[name] for name in names} for event in self.events]
