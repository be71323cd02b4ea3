"""The vocabulary of scenarios: what can be done to a program, and what can be waited for.

    async def crash_after_effect_before_commit(lab: Lab) -> None:
        app = await lab.start("app")
        commit = lab.commits(app).hold()
        sent = await lab.send("payments", payments(lab.rng, 40))
        await lab.until(held(commit) & effect_of(sent[0]), why="an effect before its commit")
        await app.kill()
        commit.drop()
        await lab.start("app")
        await lab.settle()
        await lab.aftershock()

SIGNATURES PUBLISHED FIRST; BODIES FOLLOW.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from graders.conditions import Condition
from graders.facts import Sent
from graders.history import Recorder
from graders.spec import Event


class NotExercised(Exception):
    """What the scenario waited for never came; the message names it."""


class Instance:
    """One running instance of the program, by its name (INSTANCE_ID)."""

    name: str

    async def kill(self) -> None:
        """SIGKILL. Its sessions end as a crash ends them: database transactions roll back, and the
        group counts it as expired at once (see `evict`)."""

    async def freeze(self) -> None:
        """Stop every process of it where it is, between two database transactions if it can be
        (frozen inside one it would only make the others wait for its locks). It stays a member of
        the group until `evict`."""

    async def thaw(self) -> None:
        """Let a frozen instance go on."""

    async def terminate(self, grace: float = 5.0) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns when it has ended. Not restarted."""

    async def evict(self) -> None:
        """Make the group forget its members now, as after an expired session."""


class SinkFault:
    """A fault in the database, on inserts into an effect table."""

    id: str
    matched: int
    applied: int
    held: bool

    async def release(self) -> None:
        """Let held inserts go on; later ones are not held any more."""

    async def drop(self) -> None:
        """Abort the held inserts as a crash would (their connections end); no more are held."""

    async def cancel(self) -> None:
        """Disarm without effect."""


class Sink:
    """The outside world where effects land: the program's database, under the grader's control."""

    async def hold(
        self,
        table: str,
        *,
        row: Mapping[str, Any] | None = None,
        instance: Instance | None = None,
        nth: int = 1,
        times: int = 1,
        at: str = "insert",
    ) -> SinkFault:
        """Hold the nth matching insert (and the `times - 1` after it) until `release` or `drop`.

        `row` matches by column values (`{"event_id": sent[3].id}`). `at="commit"` lets the insert
        pass and holds its transaction's COMMIT instead.
        """
        raise NotImplementedError

    async def fail(
        self,
        table: str,
        sqlstate: str = "40001",
        *,
        row: Mapping[str, Any] | None = None,
        instance: Instance | None = None,
        nth: int = 1,
        times: int = 1,
        at: str = "insert",
    ) -> SinkFault:
        """Fail the nth matching insert (and the `times - 1` after it) with that SQLSTATE."""
        raise NotImplementedError


class Lab:
    """One scenario's world: fresh topics, group and database, and the program's instances."""

    rng: random.Random  # drawn from the seed and the scenario's name
    seed: int
    gateway: Any  # sandbox.gateway.Gateway
    sink: Sink
    history: Recorder

    async def start(self, name: str = "app") -> Instance:
        """Start an instance (or start it again under the same name). It is restarted, as an
        orchestrator would, when it exits by itself: at most 5 times, 0.3 s after the exit."""
        raise NotImplementedError

    async def send(
        self, topic: str, events: Sequence[Event], partition: int | None = None
    ) -> list[Sent]:
        """Send events in order and wait until the broker has them. The key decides the partition
        unless one is given. An event may be sent again: that is a producer-level duplicate."""
        raise NotImplementedError

    async def until(self, condition: Condition, within: float = 10.0, why: str = "") -> None:
        """Wait for a condition of `graders.conditions`. Raises NotExercised after `within` seconds
        (the scenario then says nothing about the program), or at once when the program is gone."""

    async def reached(self, condition: Condition, within: float) -> bool:
        """Wait for a condition that may not come; whether it did."""
        raise NotImplementedError

    def commits(self, instance: Instance | None = None, **match: Any) -> Any:
        """The program's offset commits, plain and transactional, as the target of one fault:
        `lab.commits(app).hold()`; `match` as in `Gateway.fault` (nth, times, where)."""

    def topic(self, name: str) -> str:
        """The name on the broker of a topic of the challenge."""
        raise NotImplementedError

    def tell(self, text: str) -> None:
        """Add a sentence to the story that people see live and in the report."""

    async def settle(self) -> None:
        """Send sentinels and wait until everything sent is accounted for, patiently when not."""

    async def aftershock(self) -> None:
        """Stop all instances by SIGTERM, start them again, settle: nothing new may appear."""
