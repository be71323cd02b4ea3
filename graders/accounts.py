"""Accounts kept as events: what the contract of an event-sourced account says, and nothing that
judges.

The log is a table whose rows are events (`LOG`, an effect table); an account's state at a version
is the fold of its events from the first to that one. Events of format 1 tell euros as text and are
read as those of format 2, which tell cents. Each event that the program appends is told to the
outside by a record in a topic (`OUTSIDE`), and snapshots of states are rows of a table
(`SNAPSHOTS`).
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from graders.facts import Effect, short_topic
from graders.history import History

LOG, SNAPSHOTS, OUTSIDE = "events", "snapshots", "account-events"
SNAPSHOT_EVERY = 20
OLD_FORMAT = 1
SIGNS = {"deposited": 1, "withdrawn": -1}
EUROS = re.compile(r"(-?)(\d{1,12})\.(\d\d)", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """An event in the log, as format 2 tells it. `type` and `amount` (cents) are None when it is
    not as the contract says."""

    effect: Effect
    account: str
    version: int
    type: str | None
    amount: int | None
    is_old: bool

    @property
    def is_given(self) -> bool:
        """Whether it was in the log before the program was first started: the grader wrote it."""
        return self.effect.ours

    @property
    def change(self) -> int:
        """Cents that it adds to the balance."""
        return SIGNS.get(self.type or "", 0) * (self.amount or 0)

    @property
    def recorded_at(self) -> datetime:
        """The time that the database gave it."""
        return datetime.fromisoformat(self.effect.content["recorded_at"])


def read_entry(effect: Effect) -> Entry:
    """The event that a row of the log tells."""
    row = effect.content
    amount = row["data"].get("amount") if isinstance(row["data"], dict) else None
    is_old = row["format"] == OLD_FORMAT
    type, cents = upcast(row["type"], amount) if is_old else (row["type"], whole(amount))
    is_right = type in SIGNS and cents is not None and cents > 0
    return Entry(
        effect,
        row["account"],
        row["version"],
        type if is_right else None,
        cents if is_right else None,
        is_old,
    )


def upcast(type: Any, amount: Any) -> tuple[str | None, int | None]:
    """Type and cents of an event of format 1, as format 2 has them."""
    found = EUROS.fullmatch(amount) if isinstance(amount, str) else None
    if type != "moved" or found is None:
        return None, None
    sign, euros, cents = found.groups()
    return ("withdrawn" if sign else "deposited"), int(euros) * 100 + int(cents)


def whole(number: Any) -> int | None:
    """A JSON number that is whole; 12.0 is."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    return int(number) if isinstance(number, int) or number.is_integer() else None


@dataclass(frozen=True)
class Account:
    """One account's events in the order of their versions; of equal versions, in that of their
    commits."""

    name: str
    entries: Sequence[Entry]

    @cached_property
    def balances(self) -> list[int]:
        """The balance after so many events, from none on."""
        found = [0]
        for entry in self.entries:
            found.append(found[-1] + entry.change)
        return found

    @cached_property
    def is_dense(self) -> bool:
        """Whether its versions are 1, 2, 3..., each once."""
        return [e.version for e in self.entries] == list(range(1, len(self.entries) + 1))

    @cached_property
    def is_sound(self) -> bool:
        """Whether it can be folded: its versions are dense, and its events as the contract says."""
        return self.is_dense and all(entry.type for entry in self.entries)

    def version_by(self, n: int) -> int:
        """The latest version that was known to be committed by fact number `n`."""
        return max((e.version for e in self.entries if e.effect.n <= n), default=0)

    def version_at(self, time: datetime, among: int) -> int:
        """The latest of the first `among` versions that was recorded by then; 0 for none."""
        return max((e.version for e in self.entries[:among] if e.recorded_at <= time), default=0)

    def history(self, version: int) -> list[Mapping[str, Any]]:
        """Its events until a version, as an answer tells them."""
        return [
            {"version": e.version, "type": e.type, "amount": e.amount}
            for e in self.entries[:version]
        ]


class Accounts:
    """All accounts of a history."""

    def __init__(self, history: History) -> None:
        self.history = history

    @cached_property
    def entries(self) -> list[Entry]:
        """All events of the log, in the order of their commits."""
        return [read_entry(effect) for effect in self.history.of(Effect) if effect.table == LOG]

    @cached_property
    def by_name(self) -> dict[str, Account]:
        """The accounts that have events."""
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in sorted(self.entries, key=lambda e: (e.version, e.effect.n)):
            found[entry.account].append(entry)
        return {name: Account(name, entries) for name, entries in found.items()}

    def of(self, name: str) -> Account:
        """An account, without events when it has none."""
        return self.by_name.get(name, Account(name, ()))

    @cached_property
    def by_command(self) -> dict[str, list[Entry]]:
        """The events of each command, in the order of their commits."""
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            found[entry.effect.id].append(entry)
        return found


def unannounced(history: History) -> list[str]:
    """The ids of the events that the program appended and no record tells of, in the order of their
    commits; none where there is no such topic."""
    if OUTSIDE not in map(short_topic, history.began.outputs):
        return []
    effects = history.of(Effect)
    told = {effect.id for effect in effects if effect.table == OUTSIDE}
    return [e.id for e in effects if e.table == LOG and not e.ours and e.id not in told]
