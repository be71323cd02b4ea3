"""ORD and REB against the model: correct histories leave all checks silent, each mutation is found
by its check and by no unrelated one."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graders.checks import Run
from graders.checks.reb import FINISHED_S, Handover, finished_at, handovers, rows_of
from graders.facts import Commit, Effect, Fact, Fault, Fetched
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.histories import verdicts
from tests.graders.ordered import CHECKED
from tests.graders.ordered_model import tell

FAIL = Verdict.FAIL
FEW = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MANY = settings(FEW, max_examples=10_000)


@FEW
@given(tell())
def test_correct_histories_are_silent(history: History):
    assert verdicts(history, CHECKED) == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@MANY
@given(tell())
def test_many_correct_histories_are_silent(history: History):
    assert verdicts(history, CHECKED) == {}


def retold(facts: Sequence[Fact]) -> History:
    """A history of these facts in this order, numbered anew."""
    return History(replace(fact, n=n) for n, fact in enumerate(facts, 1))


def firsts(history: History, table: str) -> list[Effect]:
    """The first effects in a place."""
    found: dict[str, Effect] = {}
    for effect in history.of(Effect):
        if effect.table == table:
            found.setdefault(effect.id, effect)
    return list(found.values())


def two_of_an_item(data: st.DataObject, history: History, table: str) -> tuple[Effect, Effect]:
    """Two first effects of one item, the earlier one first, that nothing of ours had hindered."""
    struck = {value for f in history.of(Fault) for value in f.row.values()}
    free = [e for e in firsts(history, table) if e.id not in struck]
    pairs = [
        (one, two)
        for i, one in enumerate(free)
        for two in free[i + 1 :]
        if one.content["item"] == two.content["item"]
    ]
    assume(pairs)
    return data.draw(st.sampled_from(pairs))


def exchanged(history: History, one: Effect, two: Effect) -> History:
    """The history in which these two effects are about each other's event."""
    swap = {
        one.n: replace(one, id=two.id, content=two.content),
        two.n: replace(two, id=one.id, content=one.content),
    }
    return History(swap.get(fact.n, fact) for fact in history)


def swap_records(data: st.DataObject, history: History) -> History:
    one, two = two_of_an_item(data, history, "updates")
    return exchanged(history, one, two)


def swap_rows(data: st.DataObject, history: History) -> History:
    one, two = two_of_an_item(data, history, "applied")
    return exchanged(history, one, two)


def move_record(data: st.DataObject, history: History) -> History:
    """A record of an item that has another one lies in another partition."""
    one, two = two_of_an_item(data, history, "updates")
    moved = replace(two, partition=(one.partition + 1) % 3)
    return History(moved if f is two else f for f in history)


def take_key(data: st.DataObject, history: History) -> History:
    records = [e for e in history.of(Effect) if e.table == "updates"]
    bare = data.draw(st.sampled_from(records))
    key = data.draw(st.sampled_from([None, "", bare.id]))
    return History(replace(f, key=key) if f is bare else f for f in history)


def strike_first(data: st.DataObject, history: History) -> History:
    """The earlier one of two rows was refused before the later one came, and then came later."""
    one, two = two_of_an_item(data, history, "applied")
    facts = list(exchanged(history, one, two))
    struck = Fault(
        n=0, t=one.t, fault="s9", what="applied", action="fail 40001", target="applied",
        row={"change_id": one.id},
    )  # fmt: skip
    facts.insert(one.n - 1, struck)
    return retold(facts)


def late_owner(data: st.DataObject, history: History) -> History:
    """The old owner of a partition that was handed over wrote a row in the new one's stead."""
    run = Run(history)
    seconds = [
        (handover, row)
        for handover in handovers(run)
        for row in rows_after(run, handover)
        if any(earlier.n < row.n for earlier in rows_after(run, handover, row.content["item"]))
    ]
    assume(seconds)
    handover, row = data.draw(st.sampled_from(seconds))
    late = replace(row, instance=handover.told.instance)
    return History(late if fact is row else fact for fact in history)


def rows_after(run: Run, handover: Handover, item: str | None = None) -> list[Effect]:
    """What the new owner applied (of one item) while the old one could know of it."""
    return [
        row
        for row in rows_of(run, handover.lane)
        if max(handover.told.n, handover.taken.n) < row.n < handover.until
        and row.instance == handover.taken.instance
        and item in (None, row.content["item"])
    ]


def no_commit(data: st.DataObject, history: History) -> History:
    """Nothing was committed before a partition was handed over, so its first record comes again."""
    run = Run(history)
    ready = [
        handover
        for handover in handovers(run)
        if (records := run.records.get(handover.lane))
        and finished_at(run, records[0], handover) <= handover.told.t - FINISHED_S
    ]
    assume(ready)
    handover = data.draw(st.sampled_from(ready))
    topic, partition = handover.lane
    again = Fetched(
        n=0, t=0.0, instance=handover.taken.instance, topic=topic, partition=partition, first=0,
        last=0,
    )  # fmt: skip
    facts = [f for f in history if not is_commit_before(f, handover)]
    facts.insert(facts.index(handover.taken) + 1, again)
    return retold(facts)


def is_commit_before(fact: Fact, handover: Handover) -> bool:
    own = isinstance(fact, Commit) and (fact.topic, fact.partition) == handover.lane
    return own and fact.n < handover.taken.n


Mutation = Callable[[st.DataObject, History], History]

# A row that comes later than its record's commit or fetch shows in COM and GRD, too.
MOVED = {"COM-1", "COM-3", "GRD-4", "ORD-1", "ORD-3"}
MUTATIONS: dict[Mutation, tuple[dict[str, Verdict], set[str]]] = {
    swap_records: ({"ORD-1": FAIL}, {"GRD-4", "REB-3"}),
    swap_rows: ({"ORD-1": FAIL}, MOVED | {"REB-1", "REB-3"}),
    move_record: ({"ORD-2": FAIL}, {"ORD-1"}),
    take_key: ({"ORD-2": FAIL}, set()),
    late_owner: ({"REB-1": FAIL}, set()),
    no_commit: ({"REB-3": FAIL}, set()),
    strike_first: ({"ORD-3": FAIL}, MOVED | {"REB-1", "REB-3", "EFF-7"}),
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
def test_each_mutation_is_found_by_its_check_and_by_no_unrelated_one(mutation: Mutation):
    must, may = MUTATIONS[mutation]

    @FEW
    @given(tell(), st.data())
    def run(history: History, data: st.DataObject) -> None:
        found = verdicts(mutation(data, history), CHECKED)
        assert found.items() >= must.items()
        assert found.keys() <= must.keys() | may

    run()
