"""An outbox, as a history tells it: which rows were committed, which events were published of them,
and what is owed.

A *row* is a committed row of the outbox's table (`OutboxSpec`), written by the program or by the
grader in somebody else's part. A *told* event is a record of its topic that says what a row says:
the same aggregate and version, the same content. A record that says anything else is *stray*.
"""

from collections import defaultdict
from functools import cached_property
from typing import Any

from graders.checks.run import differs
from graders.facts import Effect, Marked, Output
from graders.history import History
from graders.spec import OutboxSpec

# What is one change: an aggregate and a version of it.
Change = tuple[str, int]


class Outbox:
    """The rows and events of a history. Pure; empty when the challenge has no outbox."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.told = history.began.outbox

    @cached_property
    def spec(self) -> OutboxSpec:
        """The contract; KeyError when there is none."""
        return OutboxSpec(**{**self.told, "content": tuple(self.told["content"])})

    @cached_property
    def rows(self) -> dict[Change, Effect]:
        """The committed rows by what they tell of, in the order of their commits."""
        if not self.told:
            return {}
        rows = [e for e in self.history.of(Effect) if e.table == self.spec.table]
        return {change_of(self.spec, row.content): row for row in rows}

    @cached_property
    def outputs(self) -> list[Output]:
        """Every record of the topic, those of one partition in its order."""
        if not self.told:
            return []
        return [o for o in self.history.of(Output) if o.topic == self.spec.topic]

    @cached_property
    def events(self) -> dict[Change, list[Output]]:
        """The records that tell of each row, in the order in which they were seen."""
        found: dict[Change, list[Output]] = defaultdict(list)
        for output in self.outputs:
            if (row := self.row_of(output)) is not None:
                found[change_of(self.spec, row.content)].append(output)
        return found

    @cached_property
    def strays(self) -> list[Output]:
        """The records that tell of no row."""
        return [output for output in self.outputs if self.row_of(output) is None]

    @cached_property
    def marked(self) -> dict[Change, Marked]:
        """When each row was marked as published for the first time."""
        found: dict[Change, Marked] = {}
        for fact in self.history.of(Marked):
            found.setdefault(change_of(self.spec, fact.content), fact)
        return found

    @cached_property
    def owed(self) -> list[str]:
        """What is not published or not marked yet, in words, in the order of the commits."""
        silent = [named(change) for change in self.rows if not self.events.get(change)]
        unmarked = [c for c in self.rows if self.events.get(c) and c not in self.marked]
        return silent + [f"the mark of {named(change)}" for change in unmarked]

    def row_of(self, output: Output) -> Effect | None:
        """The row that a record tells of; None when there is none."""
        if (change := self.claim_of(output)) is None:
            return None
        row = self.rows.get(change)
        if row is None or differs(output.value, content_of(self.spec, row)):
            return None
        return row

    def claim_of(self, output: Output) -> Change | None:
        """Which change a record says it tells of, true or not; None when it says none."""
        value = output.value
        if not isinstance(value, dict):
            return None
        aggregate, version = value.get(self.spec.aggregate), value.get(self.spec.version)
        if not isinstance(aggregate, str) or isinstance(version, bool):
            return None
        return (aggregate, version) if isinstance(version, int) else None


def change_of(spec: OutboxSpec, content: Any) -> Change:
    """The change that a row tells of."""
    return content[spec.aggregate], content[spec.version]


def content_of(spec: OutboxSpec, row: Effect) -> dict[str, Any]:
    """What the event must carry beside the change that it tells of."""
    return {name: row.content[name] for name in spec.content}


def named(change: Change) -> str:
    """A change in words."""
    return f"version {change[1]} of {change[0]}"
