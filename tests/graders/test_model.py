"""Checks against the model: correct histories leave all silent, each mutation is found by its check
and by no unrelated one."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graders.facts import Commit, Effect, Fact, Fetched, Process, Record, Refused, Settled, State
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.histories import TOPIC, verdicts
from tests.graders.model import tell

FAIL, WARN = Verdict.FAIL, Verdict.WARN
FEW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MANY = settings(FEW, max_examples=10_000)


@FEW
@given(tell())
def test_correct_histories_are_silent(history: History):
    assert verdicts(history) == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@MANY
@given(tell())
def test_many_correct_histories_are_silent(history: History):
    assert verdicts(history) == {}


def retold(facts: Iterable[Fact]) -> History:
    """A history of these facts in this order, numbered and timed anew; final state from effects."""
    told: list[Fact] = []
    for n, fact in enumerate(facts, 1):
        changes = {"n": n, "t": n / 100}
        if isinstance(fact, Effect):
            changes["committed_t"] = n / 100
        told.append(replace(fact, **changes))
    sums: dict[str, int] = {}
    for effect in (f for f in told if isinstance(f, Effect)):
        account = effect.content["account"]
        sums[account] = sums.get(account, 0) + effect.content["amount"]
    rows = [{"account": a, "balance": b} for a, b in sums.items()]
    return History(replace(f, rows=rows) if isinstance(f, State) else f for f in told)


def an_effect(data: st.DataObject, history: History) -> Effect:
    effects = history.of(Effect)
    assume(effects)
    return data.draw(st.sampled_from(effects))


def end_of_play(history: History) -> int:
    """Index of the last fact before the run's final settle."""
    return history.last(Settled).n - 1


def drop_effect(data: st.DataObject, history: History) -> list[Fact]:
    gone = an_effect(data, history)
    return [f for f in history if f is not gone]


def double_effect(data: st.DataObject, history: History) -> list[Fact]:
    twice = an_effect(data, history)
    facts = list(history)
    facts.insert(data.draw(st.integers(twice.n, end_of_play(history))), twice)
    return facts


def alter_content(data: st.DataObject, history: History) -> list[Fact]:
    wrong = an_effect(data, history)
    content = {**wrong.content, "amount": wrong.content["amount"] + 1}
    return [replace(f, content=content) if f is wrong else f for f in history]


def invent_effect(data: st.DataObject, history: History) -> list[Fact]:
    invented = replace(an_effect(data, history), id="pay-invented")
    facts = list(history)
    facts.insert(data.draw(st.integers(invented.n, end_of_play(history))), invented)
    return facts


def effect_before_fetch(data: st.DataObject, history: History) -> list[Fact]:
    early = an_effect(data, history)
    lanes = {(r.partition, r.offset) for r in history.of(Record) if r.id == early.id}
    first = next(
        f
        for f in history.of(Fetched)
        if any(f.partition == p and f.first <= o <= f.last for p, o in lanes)
    )
    facts = [f for f in history if f is not early]
    facts.insert(first.n - 1, early)
    return facts


def effect_after_commit(data: st.DataObject, history: History) -> list[Fact]:
    """Move an effect behind the commit that covers its only record."""
    late = an_effect(data, history)
    places = [(r.partition, r.offset) for r in history.of(Record) if r.id == late.id]
    assume(len(places) == 1)
    passing = [
        c
        for c in history.of(Commit)
        if c.outcome == "accepted"
        and c.api == "OffsetCommit"
        and c.partition == places[0][0]
        and c.offset > places[0][1]
    ]
    assume(passing and passing[0].n + 5 < end_of_play(history))
    facts = [f for f in history if f is not late]
    facts.insert(data.draw(st.integers(passing[0].n + 4, end_of_play(history) - 1)), late)
    return facts


def lose_record(data: st.DataObject, history: History) -> list[Fact]:
    gone = data.draw(st.sampled_from(history.of(Record)))
    return [f for f in history if f is not gone]


def position_back(data: st.DataObject, history: History) -> list[Fact]:
    """The last word on a partition is a lower offset, out of nothing."""
    commits = [
        c
        for c in history.of(Commit)
        if c.outcome == "accepted" and c.api == "OffsetCommit" and c.offset > 0
    ]
    assume(commits)
    last = {c.partition: c for c in commits}
    commit = data.draw(st.sampled_from(list(last.values())))
    moved = [f for f in list(history)[commit.n :] if isinstance(f, Process)]
    fetched = [f for f in history.of(Fetched) if f.partition == commit.partition]
    assume(not moved and all(b.first > a.last for a, b in pairwise(fetched)))
    facts = list(history)
    facts.insert(end_of_play(history), replace(commit, offset=commit.offset - 1))
    return facts


def request_forbidden(data: st.DataObject, history: History) -> list[Fact]:
    facts = list(history)
    refused = Refused(n=0, t=0, instance="app", api="DeleteRecords", why=f"topic {TOPIC}")
    facts.insert(data.draw(st.integers(1, end_of_play(history))), refused)
    return facts


Mutation = Callable[[st.DataObject, History], list[Fact]]

MUTATIONS: dict[Mutation, tuple[dict[str, Verdict], set[str]]] = {
    # A commit past a record that never gets its effect may show too, when a crash follows.
    drop_effect: ({"EFF-1": FAIL}, {"EFF-6", "COM-1", "COM-3"}),
    double_effect: ({"EFF-2": FAIL, "EFF-6": FAIL}, set()),
    alter_content: ({"EFF-3": FAIL, "EFF-6": FAIL}, set()),
    invent_effect: ({"EFF-3": FAIL, "EFF-6": FAIL}, set()),
    effect_before_fetch: ({"GRD-4": FAIL}, set()),
    lose_record: ({"HAR-1": Verdict.HARNESS_ERROR}, {"EFF-6"}),
    position_back: ({"COM-5": FAIL}, set()),
    request_forbidden: ({"GRD-1": FAIL}, set()),
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
def test_each_mutation_is_found_by_its_check_and_by_no_unrelated_one(mutation: Mutation):
    must, may = MUTATIONS[mutation]

    @FEW
    @given(tell(), st.data())
    def run(history: History, data: st.DataObject) -> None:
        found = verdicts(retold(mutation(data, history)))
        assert found.items() >= must.items()
        assert found.keys() <= must.keys() | may

    run()


@FEW
@given(tell(), st.data())
def test_an_effect_behind_its_commit_is_a_warning_of_com_1_or_com_3(history, data):
    found = verdicts(retold(effect_after_commit(data, history)))
    assert set(found.items()) <= {("COM-1", WARN), ("COM-3", WARN)}
    assert found
