"""Faults: what to do to the n-th request that matches, to the broker or to an outside service, or
to the n-th commit in the database.

A fault acts on one of two moments. Before the server sees the request: `hold`, `delay`, `slow`,
`error`, `drop_request`, `cut`. After the server has answered: `hold_response`, `delay_response`,
`slow_response`, `drop_response`, `cut_response`. The requests of a connection are answered in their
order, so whatever stops one message stops those behind it on the same connection, and a lost
message leaves the connection silent: the client must run into its own timeout. `cut` and
`cut_response` close it instead, which the client sees at once.

A link of which one direction is cut is a `hold` or `hold_response` of every request of an instance:
the other direction goes on. `release` heals it, and what was under way arrives late; `drop` leaves
the connections dead.
"""

import asyncio
import contextlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

from sandbox.gateway.codec import Body
from sandbox.gateway.errors import LEGAL_ERRORS

Where = Callable[[Body], bool]
Record = Callable[[str, dict[str, Any]], None]


class Fate(Enum):
    """What becomes of a message that a fault has acted on."""

    FORWARD = "forward"
    LOSE = "lose"
    CUT = "cut"
    ANSWER = "answer"  # with the fault's error


class Match(Protocol):
    """What a request must be for a fault to count it; `str` says it in words.

    targets: the APIs or services that it may go to.
    """

    @property
    def targets(self) -> tuple[str, ...]: ...

    @property
    def instance(self) -> str | None: ...

    def accepts(self, instance: str, request: Any) -> bool: ...


class Asked(NamedTuple):
    """A Kafka request as faults look at it; a topic is None when nobody knows its id."""

    body: Body
    topics: set[str | None]


@dataclass(frozen=True)
class RequestMatch:
    """A match of Kafka requests; `what` says to which APIs they go."""

    what: str
    targets: tuple[str, ...]
    instance: str | None
    topic: str | None
    where: Where | None

    def accepts(self, instance: str, request: Asked) -> bool:
        return (
            self.instance in (None, instance)
            and (self.topic is None or self.topic in request.topics)
            and (self.where is None or self.where(request.body))
        )

    def __str__(self) -> str:
        return self.what + (f" of {self.topic}" if self.topic else "")


@dataclass(frozen=True)
class Action:
    """What a fault does to a message.

    name: as the history has it. fate: the message's, unless it is held, and then decided later.
    on_response: once the server has answered, rather than before it sees the request.
    error: what is answered in the server's place: the name of Kafka's error, or an HttpResponse.
    """

    name: str
    fate: Fate = Fate.FORWARD
    on_response: bool = False
    holds: bool = False
    delay_seconds: float = 0.0
    bytes_per_second: float = math.inf
    error: Any = None

    def seconds(self, size: int) -> float:
        """How long a message of so many bytes is kept."""
        return self.delay_seconds + size / self.bytes_per_second


class Fault:
    """An armed fault.

    id: "f1", "f2"... as in the history.
    matched: how many requests matched so far; applied: on how many of them it has acted.
    """

    def __init__(
        self, id: str, match: Match, action: Action, chosen: range, record: Record
    ) -> None:
        self.id = id
        self.match = match
        self.action = action
        self.matched = 0
        self.applied = 0
        self._chosen = chosen  # which matches to act on, counted from 1
        self._record = record
        self._selected = 0
        self._ended = asyncio.Event()
        self._acting = 0  # on how many messages right now
        self._held: list[asyncio.Future[Fate]] = []
        self._was_applied = asyncio.Event()
        self._note("armed")

    @property
    def held(self) -> bool:
        """Whether a message is being held right now."""
        return bool(self._held)

    @property
    def spent(self) -> bool:
        """Whether no further request can be chosen."""
        return self._ended.is_set() or self.matched >= self._chosen.stop - 1

    @property
    def over(self) -> bool:
        """Whether it can do nothing any more: all its requests came, and went on their way."""
        done = self.spent and not self._acting and self.applied == self._selected
        return self._ended.is_set() or done

    async def wait_applied(self) -> None:
        """Return once the fault has acted on a message: it is held, lost, late or answered."""
        await self._was_applied.wait()

    def release(self) -> None:
        """Let what is held go on its way, or be answered (`hold_error`); the fault is over."""
        self._end("released" if self.applied else "cancelled", self.action.fate)

    def drop(self) -> None:
        """Lose what is held; the fault is over."""
        self._end("dropped" if self.applied else "cancelled", Fate.LOSE)

    def cancel(self) -> None:
        """Disarm the fault; what is held goes on its way."""
        self._end("cancelled", Fate.FORWARD)

    def chooses(self, instance: str, request: Any) -> bool:
        """Count a request if it matches; return whether this fault is to act on it."""
        if self.spent or not self.match.accepts(instance, request):
            return False
        self.matched += 1
        if self.matched in self._chosen:
            self._selected += 1
            return True
        self._note("matched", instance)
        return False

    async def act(self, instance: str, what: str, size: int = 0) -> Fate:
        """Act on a chosen message of so many bytes, described by `what`; return its fate once that
        is known."""
        if self._ended.is_set():
            return Fate.FORWARD
        self.applied += 1
        self._note("applied", instance, what)
        self._was_applied.set()
        self._acting += 1
        try:
            return await (self._hold() if self.action.holds else self._delay(size))
        finally:
            self._acting -= 1

    async def _delay(self, size: int) -> Fate:
        if seconds := self.action.seconds(size):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), seconds)
        return self.action.fate

    async def _hold(self) -> Fate:
        gate: asyncio.Future[Fate] = asyncio.get_running_loop().create_future()
        self._held.append(gate)
        try:
            return await gate
        finally:
            if gate in self._held:
                self._held.remove(gate)

    def _end(self, what: str, fate: Fate) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        self._note(what)
        held, self._held = self._held, []
        for gate in held:
            if not gate.done():
                gate.set_result(fate)

    def _note(self, what: str, instance: str | None = None, target: str | None = None) -> None:
        fields = {
            "fault": self.id,
            "what": what,
            "action": self.action.name,
            "target": target or str(self.match),
            "instance": instance or self.match.instance,
        }
        self._record("fault", fields)


class AnswerFaultBuilder:
    """A match that waits for its action, which is on the answer to what was done. Each method arms
    the fault and returns it."""

    def __init__(self, faults: "Faults", match: Match, chosen: range) -> None:
        self._faults = faults
        self._match = match
        self._chosen = chosen

    def hold_response(self) -> Fault:
        """Let the server do it, and keep its answer from the program."""
        return self._arm(Action("hold_response", on_response=True, holds=True))

    def drop_response(self) -> Fault:
        """The server does it; its answer is lost, and the connection falls silent."""
        return self._arm(Action("drop_response", Fate.LOSE, on_response=True))

    def cut_response(self) -> Fault:
        """Close the connection when the server has done it, before the program hears of it."""
        return self._arm(Action("cut_response", Fate.CUT, on_response=True))

    def delay_response(self, seconds: float) -> Fault:
        """Let the server do it, and its answer wait before it goes to the program."""
        name = f"delay_response {seconds} s"
        return self._arm(Action(name, on_response=True, delay_seconds=seconds))

    def _arm(self, action: Action) -> Fault:
        return self._faults.arm(self._match, action, self._chosen)


class Builder(AnswerFaultBuilder):
    """The same where requests are read, too: the action may be on the request."""

    def hold(self) -> Fault:
        """Keep the request from the server until `release` or `drop`."""
        return self._arm(Action("hold", holds=True))

    def drop_request(self) -> Fault:
        """The request never reaches the server, and its connection falls silent."""
        return self._arm(Action("drop_request", Fate.LOSE))

    def cut(self) -> Fault:
        """Close the connection before the server sees the request."""
        return self._arm(Action("cut", Fate.CUT))

    def delay(self, seconds: float) -> Fault:
        """Let the request wait before it goes to the server."""
        return self._arm(Action(f"delay {seconds} s", delay_seconds=seconds))


class FaultBuilder(Builder):
    """The builder of a fault on Kafka requests."""

    def slow(self, bytes_per_second: float) -> Fault:
        """Let the request take its time to the server, as on a slow link."""
        name = f"slow {bytes_per_second} bytes/s"
        return self._arm(Action(name, bytes_per_second=bytes_per_second))

    def slow_response(self, bytes_per_second: float) -> Fault:
        """Let the answer take its time to the program, as on a slow link."""
        name = f"slow_response {bytes_per_second} bytes/s"
        return self._arm(Action(name, on_response=True, bytes_per_second=bytes_per_second))

    def error(self, name: str) -> Fault:
        """Answer in the broker's place, which never sees the request.

        A client of an old version of the API gets the older error that the broker has for it. A
        Metadata request is passed on, and its answer then has the error for every topic.

        Raises ValueError for an error that Kafka does not answer to this API.
        """
        self._check_legal(name)
        return self._arm(Action(f"error {name}", Fate.ANSWER, error=name))

    def hold_error(self, name: str) -> Fault:
        """Keep the request until `release`, which answers it as `error` does: what the program sent
        behind it on the same connection is with the broker a moment later."""
        self._check_legal(name)
        return self._arm(Action(f"hold, then error {name}", Fate.ANSWER, holds=True, error=name))

    def _check_legal(self, name: str) -> None:
        for api in self._match.targets:
            if name not in LEGAL_ERRORS.get(api, ()):
                known = ", ".join(sorted(LEGAL_ERRORS.get(api, ()))) or "none that we can answer"
                raise ValueError(f"{name} is no legal error of {api}; legal: {known}")


class Faults:
    """The armed faults of a gateway."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._numbers = itertools.count(1)
        self._armed: dict[str, list[Fault]] = {}
        self._all: list[Fault] = []

    def arm(self, match: Match, action: Action, chosen: range) -> Fault:
        fault = Fault(f"f{next(self._numbers)}", match, action, chosen, self._record)
        self._all.append(fault)
        for target in match.targets:
            self._armed.setdefault(target, []).append(fault)
        return fault

    def armed(self, target: str) -> list[Fault]:
        """Return the faults that may still choose a request to this API or service."""
        faults = self._armed.get(target)
        if not faults:
            return []
        self._armed[target] = [fault for fault in faults if not fault.spent]
        return self._armed[target]

    def cancel_all(self, but: Callable[[Fault], bool]) -> None:
        """Cancel every fault that could still do something, but some."""
        for fault in self._all:
            if not fault.over and not but(fault):
                fault.cancel()


def choose(nth: int, times: int | None) -> range:
    """Return which matches to act on, counted from 1: `times` (None: all) from `nth` on."""
    if nth < 1 or (times is not None and times < 1):
        raise ValueError("nth and times count from 1")
    return range(nth, nth + times if times is not None else 1 << 60)
