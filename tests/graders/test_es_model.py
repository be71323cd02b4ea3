"""ES against a model: correct banks leave all checks silent, each mutation is found by its check
and by no unrelated one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graders.facts import Asked, Effect, Fact, Settled, State
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.bank import LONG_AGO, Bank, tally, verdicts

FAIL = Verdict.FAIL
FEW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MANY = settings(FEW, max_examples=10_000)


class World:
    """A correct program and its clients; what comes when is drawn."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.bank = Bank()
        self.deposits: list[tuple[str, int, str]] = []
        self.orders: list[tuple[str, int, str, int | None]] = []

    def given_log(self) -> None:
        """What the program before has left: old events and new ones, by clocks that differ."""
        for number in range(self.draw(st.integers(0, 6))):
            account, late = self.account(), self.draw(st.integers(0, 9))
            before = sum(self.bank.changes.get(account, ()))
            change = self.draw(st.integers(-before, 5_000).filter(bool))
            at = LONG_AGO - timedelta(minutes=late)
            format = self.draw(st.sampled_from([1, 2]))
            self.bank.event(account, change, f"old-{number}", format=format, at=at)

    def account(self) -> str:
        return self.draw(st.sampled_from(["acc-1", "acc-2", "acc-3"]))

    def deposit(self) -> None:
        """A deposit, new or one that came before."""
        new = (self.account(), self.draw(st.integers(1, 9_999)), f"dep-{len(self.deposits)}")
        event = self.draw(st.sampled_from([new, new, *self.deposits]))
        self.deposits += [event] if event is new else []
        is_new = event[2] not in self.bank.versions
        self.bank.deposit(*event)
        if is_new:
            self.after_append(event[0])

    def withdraw(self) -> None:
        """A withdrawal, new or one that was asked before, whatever became of it."""
        account = self.account()
        version = len(self.bank.changes.get(account, ()))
        expects = self.draw(st.sampled_from([None, None, version, version + 1, 0]))
        amount = self.draw(st.integers(1, 6_000))
        new = (account, amount, f"wd-{len(self.orders)}", expects)
        order = self.draw(st.sampled_from([new, new, *self.orders]))
        self.orders += [order] if order is new else []
        if self.draw(st.integers(0, 5)) == 5:  # the answer is lost, with or without the event
            answer = self.bank.decide(*order) if self.draw(st.booleans()) else {}
            answer = {"status": None, "answer": None} if answer is not None else {}
            self.bank.withdraw(*order, **answer)
        else:
            self.bank.withdraw(*order)
        if order[2] in self.bank.versions:
            self.after_append(order[0])

    def after_append(self, account: str) -> None:
        """A snapshot where one is due, and now and then another."""
        version = len(self.bank.changes[account])
        if version % 20 == 0 or self.draw(st.integers(0, 9)) == 9:
            self.bank.snapshot(account, version)

    def look(self) -> None:
        """A question about the present or the past."""
        account = self.account()
        kind = self.draw(st.sampled_from(["", "version", "at"]))
        last = len(self.bank.changes.get(account, ()))
        if kind == "version":
            version = self.draw(st.integers(1, last + 1))
            self.bank.look(account, f"?version={version}", version if version <= last else 0)
        elif kind == "at":
            time = LONG_AGO + timedelta(seconds=self.draw(st.integers(-600, 200)))
            moment = f"?at={time:%Y-%m-%dT%H:%M:%SZ}"
            self.bank.look(account, moment, self.bank.at(account, time))
        else:
            self.bank.look(account)

    def run(self) -> History:
        self.given_log()
        self.bank.open()
        for _ in range(self.draw(st.integers(1, 12))):
            self.draw(st.sampled_from([self.deposit, self.withdraw, self.look]))()
        if self.draw(st.booleans()):
            self.bank.rest()
            self.draw(st.sampled_from([self.deposit, self.look]))()
        return self.bank.end()


@st.composite
def tell(draw: st.DrawFn) -> History:
    """The history of a correct program."""
    return World(draw).run()


@FEW
@given(tell())
def test_correct_banks_are_silent(history: History) -> None:
    assert verdicts(history) == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@MANY
@given(tell())
def test_many_correct_banks_are_silent(history: History) -> None:
    assert verdicts(history) == {}


def retold(facts: list[Fact]) -> History:
    """A history of these facts in this order; the log's last rows are what was appended, unless
    they were made others."""
    rows = tally([f for f in facts if isinstance(f, Effect)])["events"]
    moved = {fact.n: n for n, fact in enumerate(facts, 1) if fact.n}
    told = []
    for n, fact in enumerate(facts, 1):
        if isinstance(fact, State):
            kept = rows if fact.rows == fact.expected else fact.rows
            fact = replace(fact, rows=kept, expected=rows)
        if isinstance(fact, Asked):  # what was before the question stays before it
            fact = replace(fact, since=moved.get(fact.since, n - 1))
        told.append(replace(fact, n=n))
    return History(told)


def pick(data: st.DataObject, found: list[Fact]) -> Fact:
    assume(found)
    return data.draw(st.sampled_from(found))


def events(history: History, *, ours: bool = True) -> list[Fact]:
    """The events that the program appended, or the given ones."""
    logged = [e for e in history.of(Effect) if e.table == "events"]
    return [e for e in logged if (e.instance is not None) == ours]


def answers(history: History, *statuses: int) -> list[Asked]:
    """The withdrawals that were answered so."""
    return [a for a in history.of(Asked) if a.method == "POST" and a.status in statuses]


def states(history: History) -> list[Fact]:
    asked = [a for a in history.of(Asked) if a.method == "GET" and a.status == 200]
    return [a for a in asked if "history" not in a.path]


def changed(history: History, old: Fact, new: Fact) -> list[Fact]:
    return [new if fact is old else fact for fact in history]


def inserted(history: History, new: Fact) -> list[Fact]:
    """The history with one more fact at its end, before all comes to rest."""
    end = [f for f in history if isinstance(f, Settled)][-1]
    facts = list(history)
    facts.insert(end.n - 1, replace(new, n=0))
    return facts


def wrong_balance(data: st.DataObject, history: History) -> list[Fact]:
    asked = pick(data, states(history))
    assert isinstance(asked, Asked)
    answer = asked.answer | {"balance": asked.answer["balance"] + data.draw(st.integers(1, 99))}
    return changed(history, asked, replace(asked, answer=answer))


def version_twice(data: st.DataObject, history: History) -> list[Fact]:
    event = pick(data, events(history, ours=False))
    assert isinstance(event, Effect)
    content = event.content | {"entry": 99}
    facts = list(history)
    facts.insert(event.n, replace(event, n=0, id="old-twin", content=content))
    return facts


def invented(data: st.DataObject, history: History) -> list[Fact]:
    last = pick(data, [e for e in events(history) if is_last(history, e)])
    assert isinstance(last, Effect)
    content = last.content | {"entry": 99, "version": last.content["version"] + 1}
    content |= {"type": "deposited", "data": {"amount": 5}}
    return inserted(history, replace(last, id="bonus", content=content))


def is_last(history: History, event: Fact) -> bool:
    """Whether an event is its account's last, and nothing was asked of it after the answer that
    tells of it."""
    assert isinstance(event, Effect)
    account = event.content["account"]
    later = [e for e in events(history) if isinstance(e, Effect) and e.n > event.n]
    return all(e.content["account"] != account for e in later)


def refused_for_nothing(data: st.DataObject, history: History) -> list[Fact]:
    asked = pick(data, list(answers(history, 422)))
    assert isinstance(asked, Asked)
    return inserted(
        history,
        replace(asked, since=len(history), body={"id": "wd-new", "amount": 10**9}, status=409),
    )


def accepted_for_nothing(data: st.DataObject, history: History) -> list[Fact]:
    asked = pick(data, list(answers(history, 409, 422)))
    assert isinstance(asked, Asked)
    body = {"id": "wd-new", "amount": 1}
    answer = {"version": 1, "balance": 0}
    return inserted(history, replace(asked, body=body, status=201, answer=answer))


def refused_after_all(data: st.DataObject, history: History) -> list[Fact]:
    asked = pick(data, list(answers(history, 201)))
    return inserted(history, replace(asked, since=len(history), status=409, answer={}))


def told_of_the_given(data: st.DataObject, history: History) -> list[Fact]:
    event = pick(data, events(history, ours=False))
    records = [e for e in history.of(Effect) if e.table == "account-events"]
    record = pick(data, list(records))
    return inserted(history, replace(record, id=event.id))


def told_after_rest(data: st.DataObject, history: History) -> list[Fact]:
    rests = [f for f in history if isinstance(f, Settled)]
    assume(len(rests) == 2)
    records = [e for e in history.of(Effect) if e.table == "account-events" and e.n < rests[0].n]
    record = pick(data, list(records))
    return inserted(history, replace(record, committed_t=rests[0].t + 1))


def early_snapshot(data: st.DataObject, history: History) -> list[Fact]:
    event = pick(data, events(history))
    assert isinstance(event, Effect)
    content = {"version": event.content["version"] + 50, "balance": 7}
    snapshot = replace(event, table="snapshots", id=event.content["account"], content=content)
    return inserted(history, replace(snapshot, txid="tx-own"))


def rewritten(data: st.DataObject, history: History) -> list[Fact]:
    """An event that was changed, or is gone, at the end."""
    (state,) = history.of(State)
    event = pick(data, list(state.rows))
    changes = data.draw(st.sampled_from([{"data": {"amount": 1}}, {"format": 3}, None]))
    becomes = {**event, **changes} if changes else None
    assume(becomes != event)
    rows = [becomes if row is event else row for row in state.rows if becomes or row is not event]
    return changed(history, state, replace(state, rows=rows))


Mutation = Callable[[st.DataObject, History], list[Fact]]

# What must be found, and what may be found along with it.
MUTATIONS: dict[Mutation, tuple[set[str], set[str]]] = {
    wrong_balance: (set(), {"ES-1", "ES-2", "ES-5"}),
    version_twice: ({"ES-3"}, set()),
    invented: ({"ES-4"}, {"ES-7", "ES-2"}),
    refused_for_nothing: ({"ES-4"}, set()),
    accepted_for_nothing: ({"ES-6"}, set()),
    refused_after_all: ({"ES-6"}, set()),
    told_of_the_given: ({"ES-7"}, set()),
    told_after_rest: ({"ES-7"}, set()),
    early_snapshot: ({"ES-2"}, set()),
    rewritten: ({"ES-8"}, set()),
}


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
@FEW
@given(st.data())
def test_a_mutation_is_found_by_its_check(mutate: Mutation, data: st.DataObject) -> None:
    found = verdicts(retold(mutate(data, data.draw(tell()))))
    must, may = MUTATIONS[mutate]
    assert set(found.values()) == {FAIL}
    assert must <= found.keys() <= must | may


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
@settings(FEW, max_examples=1_000)
@given(st.data())
def test_many_mutations_are_found_by_their_check(mutate: Mutation, data: st.DataObject) -> None:
    found = verdicts(retold(mutate(data, data.draw(tell()))))
    must, may = MUTATIONS[mutate]
    assert set(found.values()) == {FAIL}
    assert must <= found.keys() <= must | may
