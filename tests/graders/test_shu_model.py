"""SHU against the model: correct stops leave all checks silent, each mutation is found by its check
and by no unrelated one."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graders.checks import Run
from graders.checks.shu import Stop, stops
from graders.facts import Commit, Effect, Ended, Fact, Fault, Fetched, Left, Record, Sent
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.histories import TOPIC, verdicts
from tests.graders.stops import CHECKED, tell

FAIL = Verdict.FAIL
FEW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MANY = settings(FEW, max_examples=10_000)


@FEW
@given(tell())
def test_correct_stops_are_silent(history: History):
    assert verdicts(history, CHECKED) == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@MANY
@given(tell())
def test_many_correct_stops_are_silent(history: History):
    assert verdicts(history, CHECKED) == {}


def retold(facts: Sequence[Fact]) -> History:
    """A history of these facts in this order, numbered and timed anew."""
    told: list[Fact] = []
    for n, fact in enumerate(facts, 1):
        changes = {"n": n, "t": n / 100}
        if isinstance(fact, Effect):
            changes["committed_t"] = n / 100
        told.append(replace(fact, **changes))
    return History(told)


def a_stop(data: st.DataObject, history: History, *circumstances: str) -> Stop:
    """A stop at work, in one of these circumstances; in none by default."""
    wanted = circumstances or ("",)
    found = [stop for stop in stops(Run(history)) if stop.circumstance in wanted]
    assume(found)
    return data.draw(st.sampled_from(found))


def of_life(stop: Stop, fact: Fact) -> bool:
    """Whether a fact is this life's own."""
    own = getattr(fact, "instance", None) == stop.instance
    return own and stop.began < fact.n < stop.until


def end_too_late(data: st.DataObject, history: History) -> History:
    return overdue(history, a_stop(data, history))


def end_too_late_at_a_bad_time(data: st.DataObject, history: History) -> History:
    bad = ("twice", "while it was starting", "in the middle of a rebalance")
    return overdue(history, a_stop(data, history, *bad))


def overdue(history: History, stop: Stop) -> History:
    killed = replace(stop.end, what="killed", code=None, signal=9, reason="killed")
    facts = [killed if fact is stop.end else fact for fact in history]
    facts.insert(facts.index(killed), replace(stop.told, what="overdue"))
    return retold(facts)


def end_badly(data: st.DataObject, history: History) -> History:
    stop = a_stop(data, history)
    bad = replace(stop.end, code=data.draw(st.sampled_from([1, 2, 137])), signal=None)
    return retold([bad if fact is stop.end else fact for fact in history])


def stay(data: st.DataObject, history: History) -> History:
    return retold(stayed(history, a_stop(data, history, "", "twice")))


def stayed(history: History, stop: Stop) -> list[Fact]:
    """The member does not leave; the grader ends its session."""
    left = next(fact for fact in history.of(Left) if of_life(stop, fact))
    facts = [fact for fact in history if fact is not left]
    facts.insert(facts.index(stop.end) + 1, replace(left, by="grader"))
    return facts


def cut_short(data: st.DataObject, history: History) -> History:
    """The second signal ends it while the grader holds a row."""
    stop = a_stop(data, history, "twice")
    facts = stayed(history, stop)
    at = facts.index(stop.end)
    facts[at] = replace(stop.end, code=None, signal=15)
    hold = {"fault": "s8", "action": "hold", "target": "write to ledger"}
    facts.insert(at, Fault(n=0, t=0.0, **hold, what="applied"))
    return retold(facts)


def forget_to_commit(data: st.DataObject, history: History) -> History:
    """What this life did of a partition is not committed, so the next one is handed it again."""
    stop = a_stop(data, history, "", "twice")
    mine = [f for f in history.of(Commit) if of_life(stop, f)]
    assume(mine)
    partition = data.draw(st.sampled_from(mine)).partition
    before = [c.offset for c in history.of(Commit) if c.n < stop.began and c.partition == partition]
    start = max(before, default=0)
    fields = {"topic": TOPIC, "partition": partition, "first": start, "last": start}
    again = Fetched(n=0, t=0.0, instance="again", **fields)
    facts = [f for f in history if not (f in mine and f.partition == partition)]
    facts.insert(facts.index(stop.end) + 1, again)
    return retold(facts)


def lose_the_last_record(data: st.DataObject, history: History) -> History:
    stop = a_stop(data, history, "", "twice")
    places = {r.id: (r.partition, r.offset) for r in history.of(Record)}
    sent = [e for e in history.of(Effect) if e.partition is not None and of_life(stop, e)]
    assume(sent)
    lane = places[data.draw(st.sampled_from(sent)).id][0]
    last = max((e for e in sent if places[e.id][0] == lane), key=lambda e: places[e.id])
    return retold([fact for fact in history if fact is not last])


def leave_it_open(data: st.DataObject, history: History) -> History:
    """The last transaction of a life does not end."""
    stop = a_stop(data, history, "", "twice")
    ends = [fact for fact in history.of(Ended) if of_life(stop, fact)]
    assume(ends)
    return retold([fact for fact in history if fact is not ends[-1]])


def write_after_leaving(data: st.DataObject, history: History) -> History:
    """The last row of a life moves behind its leave, and its record with it."""
    stop = a_stop(data, history, "", "twice")
    rows = [e for e in history.of(Effect) if e.partition is None and of_life(stop, e)]
    assume(rows)
    left = next(fact for fact in history.of(Left) if of_life(stop, fact))
    late = [e for e in history.of(Effect) if e.id == rows[-1].id]
    idle = [replace(stop.told, what="thawed")] * 3  # three hundredths of a second
    facts = [fact for fact in history if fact not in late]
    at = facts.index(left) + 1
    return retold([*facts[:at], *idle, *late, *facts[at:]])


def go_on(data: st.DataObject, history: History) -> History:
    """After SIGTERM one more order follows the other, and each is done."""
    stop = a_stop(data, history, "", "twice")
    end = max((s.offset for s in history.of(Sent) if s.partition == 0), default=-1) + 1
    sent, effect = history.of(Sent)[0], history.of(Effect)
    assume(effect)
    more: list[Fact] = []
    records: list[Fact] = []
    for number in range(3):
        id, place = f"new-{number}", {"partition": 0, "offset": end + number}
        new = replace(sent, **place, id=id, value={**sent.value, "id": id})
        fetched = {"topic": TOPIC, "partition": 0, "first": end + number, "last": end + number}
        more += [new, Fetched(n=0, t=0.0, instance=stop.instance, **fetched)]
        for table, partition in (("ledger", None), ("announcements", 0)):
            own = {"table": table, "partition": partition, "instance": stop.instance}
            more.append(replace(effect[0], **own, id=id))
        records.append(Record(n=0, t=0.0, topic=TOPIC, **place, key="acc-1", id=id))
    facts = list(history)
    left = next(fact for fact in history.of(Left) if of_life(stop, fact))
    at = facts.index(left)
    return retold([*facts[:at], *more, *facts[at:], *records])


Mutation = Callable[[st.DataObject, History], History]

# A row that comes later than its record's commit shows in COM, too.
MUTATIONS: dict[Mutation, tuple[dict[str, Verdict], set[str]]] = {
    end_too_late: ({"SHU-1": FAIL}, set()),
    end_too_late_at_a_bad_time: ({"SHU-6": FAIL}, set()),
    end_badly: ({"SHU-1": FAIL}, set()),
    stay: ({"SHU-5": FAIL}, set()),
    cut_short: ({"SHU-6": FAIL}, set()),
    forget_to_commit: ({"SHU-3": FAIL}, {"SHU-4"}),
    lose_the_last_record: ({"SHU-4": FAIL, "EFF-1": FAIL}, {"SHU-3"}),
    leave_it_open: ({"SHU-4": FAIL}, {"SHU-3"}),
    write_after_leaving: ({"SHU-2": FAIL}, {"COM-1", "COM-3", "SHU-3"}),
    go_on: ({"SHU-2": FAIL}, {"SHU-3"}),
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
