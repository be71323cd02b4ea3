"""When the wait for quiet ends, with a lab that is as much of one as that needs."""

from types import SimpleNamespace
from typing import Any

import pytest

from graders.facts import Settled
from graders.history import Recorder
from graders.settle import Course, Watch

pytestmark = pytest.mark.asyncio


class Busy:
    """A program that does something at every look and gets nowhere."""

    def __init__(self) -> None:
        self.history = Recorder()
        self.history.append(
            "scenario", challenge="c", scenario="s", seed=7, driver="process", group="g",
            topics={"in.1": 1},
        )  # fmt: skip
        place = {"topic": "in.1", "partition": 0, "offset": 0}
        self.history.append("sent", **place, key="k", id="e-1", value={}, expect={"out": {}})
        self.patience = 1.0
        self.challenge = SimpleNamespace(timer_s=0.0)
        self.promises: set[Any] = set()
        self.instances: dict[str, Any] = {}
        self.groups = {"": "g"}
        self.sink = SimpleNamespace(record_rest=self.look)
        self.tail = SimpleNamespace(catch_up=self.look)
        self.kafka = SimpleNamespace(committed=self.committed)

    async def look(self) -> None:
        self.history.append("refused", instance="app", api="CreateTopics", why="not granted")

    async def committed(self, group: str, lanes: Any) -> dict[Any, int | None]:
        return dict.fromkeys(lanes)

    def is_gone(self) -> bool:
        return False


async def test_activity_without_progress_does_not_prolong_the_wait() -> None:
    lab = Busy()
    watch = Watch(lab, stuck_s=0.0)  # type: ignore[arg-type]
    assert await watch.is_over()
    watch.record()
    settled = lab.history.last(Settled)
    assert settled is not None
    assert (settled.quiet, settled.moving, settled.missing) == (False, False, 1)


async def test_an_effect_that_comes_to_light_prolongs_the_wait() -> None:
    lab = Busy()

    async def found() -> None:
        lab.history.append(
            "effect", table="out", row=1, id="e-1", content={}, instance="app", txid="1",
            committed_t=0.1,
        )  # fmt: skip

    lab.sink.record_rest = found
    assert not await Watch(lab, stuck_s=0.0).is_over()  # type: ignore[arg-type]


async def test_a_commit_that_repeats_what_is_committed_is_no_unrest() -> None:
    history = Busy().history
    course, seen = Course(history), []
    for offset, outcome in ((1, "accepted"), (1, "accepted"), (2, "rejected"), (2, "accepted")):
        history.append(
            "commit", instance="app", group="g", topic="t", partition=0, offset=offset,
            outcome=outcome,
        )  # fmt: skip
        seen.append(course.unrest())
    first = seen[0]
    assert seen == [first, first, first + 1, first + 2]
    assert course.committed() == {("g", "t", 0): 2}
