"""The history of one scenario: facts in order, appended while it runs, read by the checks.

The checks get a `History`, which cannot be changed. The lab writes through a `Recorder`, a history
that grows and that wakes whoever waits for something to become true of it.
"""

import asyncio
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from graders import facts
from graders.clock import FairClock
from graders.facts import Fact

GATHER_S = 0.002

F = TypeVar("F", bound=Fact)


class History:
    """Facts in order. Iterating gives all; `of` gives those of one or more kinds."""

    def __init__(self, items: Iterable[Fact] = ()) -> None:
        self._facts: list[Fact] = []
        self._by_kind: dict[type[Fact], list[Fact]] = defaultdict(list)
        for fact in items:
            self._add(fact)

    def _add(self, fact: Fact) -> None:
        self._facts.append(fact)
        self._by_kind[type(fact)].append(fact)

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def at(self, n: int) -> Fact:
        """The fact with number `n`; IndexError when there is none."""
        return self._facts[n - 1]

    def of(self, kind: type[F], start: int = 0) -> list[F]:
        """All facts of a kind, in order; without the first `start`, for whoever has seen them."""
        return self._by_kind.get(kind, [])[start:]  # type: ignore[return-value]

    def count(self, kind: type[Fact]) -> int:
        """How many facts of a kind there are."""
        return len(self._by_kind.get(kind, ()))

    def last(self, kind: type[F]) -> F | None:
        """The last fact of a kind; None when there is none."""
        found = self._by_kind.get(kind)
        return found[-1] if found else None  # type: ignore[return-value]

    @property
    def seconds(self) -> float:
        """From the beginning of the history to its last fact."""
        return self._facts[-1].t if self._facts else 0.0

    @property
    def began(self) -> facts.ScenarioBegan:
        """The first fact, which says what was played."""
        return self.of(facts.ScenarioBegan)[0]

    def save(self, path: Path) -> None:
        """Write one JSON object a line."""
        lines = (json.dumps(facts.to_json(fact), ensure_ascii=False) + "\n" for fact in self)
        path.write_text("".join(lines), "utf-8")

    @classmethod
    def load(cls, path: Path) -> "History":
        """Read what `save` wrote. ValueError naming file and line when a line is no fact."""
        found = []
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            try:
                found.append(facts.from_json(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not a fact ({error})") from error
        return cls(found)


class Recorder(History):
    """A history that is being written. Use it from one event loop only."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FairClock()
        self.began_at = time.monotonic()
        self._changed = asyncio.Event()

    def now(self) -> float:
        """Seconds since the history began."""
        return time.monotonic() - self.began_at

    def append(self, kind: str, **fields: Any) -> Fact:
        """Add a fact of a kind named in `facts.KINDS`, numbered and timed; wakes all who wait."""
        fact = facts.KINDS[kind](n=len(self) + 1, t=round(self.now(), 6), **fields)
        self._add(fact)
        self.touch()
        return fact

    def note(self, kind: str, fields: dict[str, Any]) -> None:
        """`append` in the form in which the gateway reports."""
        self.append(kind, **fields)

    def touch(self) -> None:
        """Wake all who wait: something that conditions look at has changed without a fact."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for(self, holds: Callable[[History], bool], within: float) -> bool:
        """Wait until something is true of the history; False when `within` seconds of the fair
        clock passed first. Asked again whenever the history has changed, once for all changes
        within 2 ms."""
        deadline = self.clock.now() + within
        while not holds(self):
            left = deadline - self.clock.now()
            if left <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
            await asyncio.sleep(GATHER_S)
        return True
