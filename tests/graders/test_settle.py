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

    def is_starting(self) -> bool:
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


MEMBER = {"instance": "app", "group": "g", "member": "m", "generation": 1}
STEPS = [
    ("joined", {**MEMBER, "protocol": "classic"}),
    ("assigned", {**MEMBER, "partitions": [["in.1", 0]]}),
    ("producer", {"instance": "app", "transactional_id": None, "producer_id": 7, "epoch": 0,
                  "outcome": "accepted", "error": None}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields"), STEPS)
async def test_a_step_to_work_is_progress_once_in_each_life(kind: str, fields: dict[str, Any]):
    history = Busy().history
    course = Course(history)

    def moves(kind: str, **fields: Any) -> bool:
        before = course.position({})
        history.append(kind, **fields)
        return course.position({}) != before

    assert moves(kind, **fields)
    assert not moves(kind, **fields)
    history.append("process", instance="app", what="restarted")
    assert moves(kind, **fields)


async def test_to_be_given_nothing_is_no_step_to_work():
    course = Course(Busy().history)
    before = course.position({})
    course.history.append("assigned", **MEMBER, partitions=[])
    assert course.position({}) == before


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


class Two(Busy):
    """Two instances: `second` has dealt with the event, then both are told their shares anew."""

    def __init__(self) -> None:
        super().__init__()
        for instance in ("first", "second"):
            self.history.append("process", instance=instance, what="started")
        self.own("second")
        self.commit("second", 1)

    def own(self, owner: str) -> None:
        for instance in ("first", "second"):
            self.history.append(
                "assigned", instance=instance, group="g", member=f"{instance}-1", generation=1,
                partitions=[["in.1", 0]] if instance == owner else [],
            )  # fmt: skip

    def commit(self, instance: str, offset: int) -> None:
        self.history.append(
            "commit", instance=instance, group="g", topic="in.1", partition=0, offset=offset,
            outcome="accepted",
        )  # fmt: skip

    def is_behind(self) -> bool:
        course = Course(self.history)
        return bool(course.position(course.committed()).behind)


async def test_what_the_owner_has_committed_counts_though_another_sets_it_back() -> None:
    lab = Two()
    lab.own("second")
    lab.commit("first", 0)
    assert not lab.is_behind()


async def test_who_sets_his_own_position_back_is_behind() -> None:
    lab = Two()
    lab.commit("second", 0)
    assert lab.is_behind()


async def test_what_an_earlier_life_of_the_owner_committed_does_not_count() -> None:
    lab = Two()
    lab.commit("first", 0)
    lab.history.append("process", instance="second", what="killed")
    lab.history.append("process", instance="second", what="started")
    lab.own("second")
    assert lab.is_behind()


async def test_who_has_lost_a_partition_meanwhile_must_deal_with_it_again() -> None:
    lab = Two()
    lab.commit("first", 0)
    lab.own("first")
    lab.own("second")
    assert lab.is_behind()
