"""Family SAG against the model: correct sagas leave all checks silent, each mutation is found by
its check and by no unrelated one."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graders.facts import Effect, Fact, Output, Performed
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.sagas import judged, saga_histories

FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MANY = settings(FEW, max_examples=10_000)


@FEW
@given(saga_histories())
def test_correct_sagas_are_silent(history: History):
    assert judged(history) == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@MANY
@given(saga_histories())
def test_many_correct_sagas_are_silent(history: History):
    assert judged(history) == {}


def drawn(data: st.DataObject, facts: list) -> Fact:
    assume(facts)
    return data.draw(st.sampled_from(facts))


def done(history: History, *actions: str) -> list[Performed]:
    return [d for d in history.of(Performed) if d.outcome == "done" and d.action in actions]


def drop_undo(data: st.DataObject, history: History) -> list[Fact]:
    gone = drawn(data, done(history, "refund", "release"))
    return [f for f in history if f is not gone]


def double_do(data: st.DataObject, history: History) -> list[Fact]:
    deed = drawn(data, done(history, "charge", "reserve", "deduct"))
    command = first_command(history, deed)
    # Once the order has turned back, another do would also be a step begun too late (SAG-5).
    assume(not any(undoes(c, deed) for c in history.of(Output) if c.n < deed.n))
    again = [replace(command, value={**command.value, "id": "other"}), replace(deed, id="other")]
    facts = list(history)
    facts[deed.n : deed.n] = again
    return facts


def undoes(command: Output, deed: Performed) -> bool:
    return "undoes" in command.value and command.value["order"] == deed.subject


def first_command(history: History, deed: Performed) -> Output:
    return next(c for c in history.of(Output) if c.value["id"] == deed.id)


def lose_outcome(data: st.DataObject, history: History) -> list[Fact]:
    gone = drawn(data, history.of(Effect))
    return [f for f in history if f is not gone]


def change_outcome(data: st.DataObject, history: History) -> list[Fact]:
    changed = drawn(data, history.of(Effect))
    other = {"completed": "cancelled", "cancelled": "completed"}[changed.content["outcome"]]
    return [replace(f, content={"outcome": other}) if f is changed else f for f in history]


def contradict_outcome(data: st.DataObject, history: History) -> list[Fact]:
    told = drawn(data, history.of(Effect))
    other = {"completed": "cancelled", "cancelled": "completed"}[told.content["outcome"]]
    facts = list(history)
    facts.insert(told.n, replace(told, content={"outcome": other}))
    return facts


def swap_undos(data: st.DataObject, history: History) -> list[Fact]:
    """The release happens where the refund did, and the other way round."""
    refund = drawn(data, done(history, "refund"))
    release = next((d for d in done(history, "release") if d.subject == refund.subject), None)
    assume(release)
    swap = {refund.n: release, release.n: refund}
    return [swap.get(f.n, f) for f in history]


def mix_up(data: st.DataObject, history: History) -> list[Fact]:
    """All commands for one action carry another amount."""
    wrong = drawn(data, [c for c in history.of(Output) if c.value["action"] == "charge"])
    return [
        replace(f, value={**f.value, "amount": 1})
        if isinstance(f, Output) and f.value["id"] == wrong.value["id"]
        else f
        for f in history
    ]


def hasten(data: st.DataObject, history: History) -> list[Fact]:
    """A step is commanded before the one before it is done."""
    deed = drawn(data, done(history, "reserve", "charge"))
    later = {"reserve": "charge", "charge": "ship"}[deed.action]
    command = next(
        (c for c in history.of(Output) if c.value["id"] == f"{deed.subject}/{later}"), None
    )
    assume(command)
    facts = [f for f in history if f is not command]
    facts.insert(deed.n - 1, command)
    return facts


Mutation = Callable[[st.DataObject, History], list[Fact]]

# A mutation, the checks of which one must find it, and those that may find it too.
MUTATIONS: list[tuple[Mutation, set[str], set[str]]] = [
    (drop_undo, {"SAG-2", "SAG-6"}, set()),
    (double_do, {"SAG-7", "SAG-10"}, {"SAG-2", "SAG-6"}),
    (lose_outcome, {"SAG-9", "SAG-12"}, set()),
    (
        change_outcome,
        {"SAG-2", "SAG-6", "SAG-8"},
        {"SAG-1"},
    ),
    (contradict_outcome, {"SAG-1"}, {"SAG-2", "SAG-8"}),
    (swap_undos, {"SAG-4"}, {"SAG-1", "SAG-2"}),
    (mix_up, {"SAG-11"}, set()),
    (hasten, {"SAG-5"}, set()),
]


def retold(facts: list[Fact]) -> History:
    """A history of these facts in this order, numbered anew; each as late as it must be."""
    told: list[Fact] = []
    for n, fact in enumerate(facts, 1):
        told.append(replace(fact, n=n, t=max(fact.t, told[-1].t if told else 0.0)))
    return History(told)


@pytest.mark.parametrize(
    ("mutate", "must", "may"), MUTATIONS, ids=lambda v: getattr(v, "__name__", "")
)
@FEW
@given(history=saga_histories(), data=st.data())
def test_each_mutation_is_found_by_its_check(mutate, must, may, history, data):
    found = judged(retold(mutate(data, history)))
    assert must & found.keys(), found
    assert found.keys() <= must | may, found
    assert set(found.values()) == {Verdict.FAIL}
