"""DLQ checks: hand-made histories, each with its nearest correct one, and the model."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graders.checks import CHECKS, HARNESS, check
from graders.checks.dlq import origin_of
from graders.facts import Call, Effect, Fact, Sent
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.dead_letters import DEAD, TOPIC, Letters, tell
from tests.graders.histories import findings

FAIL = Verdict.FAIL
# Those that a challenge with a dead-letter topic counts.
CHECKED = (
    *HARNESS,
    *(id for id in CHECKS if id.startswith("DLQ")),
    *("EFF-1", "EFF-2", "EFF-3", "EFF-4", "ORD-1", "COM-2", "COM-4", "COM-5", "LIV-1"),
    *("GRD-1", "GRD-4"),
)
FEW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
MANY = settings(FEW, max_examples=10_000)


def verdicts(history: History) -> dict[str, Verdict]:
    """What each check found, by id: the first finding's verdict."""
    return {finding.check: finding.verdict for finding in reversed(check(history, CHECKED))}


def begun() -> Letters:
    tale = Letters()
    tale.process("app", "started")
    tale.assigned("app", 0, 1, 2)
    return tale


def handled(tale: Letters, *partitions_and_ends: tuple[int, int]) -> History:
    """The end of a tale in which these positions are committed."""
    for partition, end in partitions_and_ends:
        tale.commit("app", partition, end)
    return tale.end()


def shipped_and_buried() -> Letters:
    """One order that is shipped, one that is poison, one that is refused, one tombstone."""
    tale = begun()
    tale.order("ord-1")
    tale.poison("bad-2", headers=[["via", "a"], ["trace", "base64:/w=="], ["via", "b"]])
    tale.order("ord-3", expect=DEAD)
    tale.poison("nil-4", payload=None, expect={})
    tale.fetch("app", 0, 0, 3)
    tale.call("app", "ord-1")
    tale.bury("app", "bad-2")
    tale.call("app", "ord-3", 422)
    tale.bury("app", "ord-3", 1)
    return tale


def test_a_good_day_is_silent():
    assert verdicts(handled(shipped_and_buried(), (0, 4))) == {}


def test_a_dead_letter_that_repeats_is_silent():
    tale = shipped_and_buried()
    tale.bury("app", "bad-2")
    assert verdicts(handled(tale, (0, 4))) == {}


@pytest.mark.parametrize("kind", ["order", "tombstone"])
def test_what_does_not_belong_into_the_topic_is_dlq_1(kind: str):
    tale = begun()
    if kind == "order":
        tale.order("x")
    else:
        tale.poison("x", payload=None, expect={})
    tale.fetch("app", 0, 0, 0)
    tale.bury("app", "x")
    assert verdicts(handled(tale, (0, 1))) == {"DLQ-1": FAIL}


def test_poison_that_is_nowhere_is_dlq_1():
    tale = begun()
    tale.poison("bad-1")
    tale.fetch("app", 0, 0, 0)
    history = handled(tale, (0, 1))
    assert verdicts(history) == {"DLQ-1": FAIL}
    assert "not in the dead-letter topic" in findings(history, "DLQ-1")[0].claim


def test_poison_that_is_nowhere_while_its_twin_is_there_is_dlq_1_alone():
    tale = begun()
    tale.poison("bad-1", payload="?")
    tale.poison("bad-2", payload="?")
    tale.fetch("app", 0, 0, 1)
    tale.bury("app", "bad-1")
    assert verdicts(handled(tale, (0, 2))) == {"DLQ-1": FAIL}


def test_poison_that_waits_is_not_accused():
    tale = begun()
    tale.poison("bad-1")
    tale.fetch("app", 0, 0, 0)
    history = tale.end(quiet=False, unmet=["orders-0: 1 record(s) not committed"], missing=1)
    assert "DLQ-1" not in verdicts(history)


def test_poison_that_had_an_effect_is_eff_3_alone():
    tale = begun()
    tale.poison("bad-1")
    tale.fetch("app", 0, 0, 0)
    tale.ship("app", "bad-1")
    assert verdicts(handled(tale, (0, 1))) == {"EFF-3": FAIL}


def test_poison_that_had_an_effect_is_shown_with_its_bytes_and_where_it_belongs():
    tale = begun()
    tale.poison("bad-1")
    tale.fetch("app", 0, 0, 0)
    tale.ship("app", "bad-1")
    (shipped,) = findings(handled(tale, (0, 1)), "EFF-3")
    assert "has no effect in shipping but belongs in dlq" in shipped.claim
    assert shipped.second and "bad-1 was sent as 'bad-1?'" in shipped.second.text


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"key": None}, "the key"),
        ({"payload": "bad-1"}, "the value"),
        ({"payload": None}, "the value"),
        ({"told": {"dlq.offset": "1"}}, "the origin"),
        ({"told": {"dlq.partition": "base64:AAAA/w=="}}, "the origin"),
        ({"told": {"dlq.topic": "orders"}}, "the origin"),
        ({"told": {"dlq.error": ""}}, "the error"),
        ({"told": {"dlq.attempts": "1"}}, "the number of attempts"),
        ({"told": {"dlq.attempts": ""}}, "the number of attempts"),
    ],
)
def test_a_dead_letter_that_differs_is_dlq_2(changes: dict[str, Any], kind: str):
    tale = begun()
    tale.poison("bad-1")
    tale.fetch("app", 0, 0, 0)
    tale.bury("app", "bad-1", **changes)
    history = handled(tale, (0, 1))
    assert verdicts(history) == {"DLQ-2": FAIL}
    (finding,) = findings(history, "DLQ-2")
    assert kind in finding.claim


@pytest.mark.parametrize(("key", "found"), [(None, {}), ("", {"DLQ-2": FAIL})])
def test_a_record_without_a_key_has_a_dead_letter_without_one(key: str | None, found: dict):
    tale = begun()
    tale.poison("bad-1", customer=None)
    tale.fetch("app", 0, 0, 0)
    tale.bury("app", "bad-1", key=key)
    assert verdicts(handled(tale, (0, 1))) == found


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([["a", "1"], ["b", "2"], ["a", "3"], ["new", "4"]], {}),
        ([["new", "4"], ["a", "1"], ["b", "2"], ["a", "3"]], {}),
        ([["a", "3"], ["b", "2"]], {"DLQ-2": FAIL}),
        ([["b", "2"], ["a", "1"], ["a", "3"]], {"DLQ-2": FAIL}),
        ([["a", "1"], ["b", ""], ["a", "3"]], {"DLQ-2": FAIL}),
    ],
)
def test_all_headers_are_kept_in_their_order(headers: list[list[str]], found: dict):
    tale = begun()
    sent = tale.poison("bad-1", headers=[["a", "1"], ["b", "2"], ["a", "3"]])
    tale.fetch("app", 0, 0, 0)
    letter = tale.bury("app", "bad-1")
    own = [header for header in letter.headers if header not in sent.headers]
    history = handled(tale, (0, 1))
    history = History(
        replace(fact, headers=[*headers, *own]) if fact is letter else fact for fact in history
    )
    assert verdicts(history) == found


def test_a_dead_letter_of_no_record_is_dlq_2():
    tale = begun()
    tale.poison("bad-1")
    tale.fetch("app", 0, 0, 0)
    tale.bury("app", "bad-1")
    letter = tale.bury("app", "bad-1", payload="{}")
    history = handled(tale, (0, 1))
    history = History(replace(fact, id="") if fact is letter else fact for fact in history)
    assert verdicts(history) == {"DLQ-2": FAIL}


def test_shipped_and_dead_is_dlq_3_alone():
    tale = begun()
    tale.order("ord-1")
    tale.fetch("app", 0, 0, 0)
    tale.call("app", "ord-1", heard=False)
    tale.bury("app", "ord-1", 1)
    assert verdicts(handled(tale, (0, 1))) == {"DLQ-3": FAIL}


def tried(*pauses: float, status: int | None = 503, expect: dict | None = None) -> Letters:
    """An order that fails, once more than there are pauses."""
    tale = begun()
    tale.order("ord-1", **({} if expect is None else {"expect": expect}))
    tale.fetch("app", 0, 0, 0)
    tale.call("app", "ord-1", status)
    for pause in pauses:
        tale.wait(pause)
        tale.call("app", "ord-1", status)
    return tale


def test_four_attempts_with_their_pauses_are_silent():
    tale = tried(0.2, 0.4, 0.8, expect=DEAD)
    tale.bury("app", "ord-1", 4)
    assert verdicts(handled(tale, (0, 1))) == {}


def test_calls_that_were_read_late_accuse_nobody():
    """On a machine that stood still: a call is read when it was given up, and the
    last one even after the dead letter that was written in time, with no pause in between."""
    tale = tried(0.2, expect=DEAD)
    tale.wait(0.4)
    tale.call("app", "ord-1", None, outcome="abandoned")
    tale.bury("app", "ord-1", 4)
    tale.call("app", "ord-1", None, outcome="abandoned")
    assert verdicts(handled(tale, (0, 1))) == {}


def test_what_was_read_late_does_not_excuse_a_count_that_no_call_explains():
    tale = tried(0.2, 0.4, expect=DEAD)
    tale.bury("app", "ord-1", 5)
    tale.wait(0.8)
    tale.call("app", "ord-1", None, outcome="abandoned")
    assert verdicts(handled(tale, (0, 1))) == {"DLQ-2": FAIL}


@pytest.mark.parametrize(
    ("pauses", "status", "what"),
    [
        ((0.2, 0.4, 0.8, 0.8), 503, "5 times"),
        ((0.0, 0.4, 0.8), 503, "Attempt 2"),
        ((0.2, 0.3, 0.8), 503, "Attempt 3"),
        ((0.2, 0.4, 0.4), 429, "Attempt 4"),
        ((0.2, 0.4, 0.4), None, "Attempt 4"),
        ((0.2, 0.4), 503, "after 3 of 4"),
        ((0.2,), 422, "again after it was refused"),
    ],
)
def test_a_budget_that_is_not_kept_is_dlq_4(
    pauses: tuple[float, ...], status: int | None, what: str
):
    tale = tried(*pauses, status=status, expect=DEAD)
    tale.bury("app", "ord-1", len(pauses) + 1)
    history = handled(tale, (0, 1))
    assert verdicts(history) == {"DLQ-4": FAIL}
    assert what in findings(history, "DLQ-4")[0].claim


def left_without_an_answer(*waits: float, waited_s: float = 0.0, restarts: bool = False) -> History:
    """Orders whose first call is never answered, each followed by a second after so long."""
    tale = begun()
    for n, wait in enumerate(waits):
        tale.order(f"ord-{n}")
        tale.fetch("app", 0, n, n)
        tale.silence(tale.call("app", f"ord-{n}", None), waited_s)
        tale.wait(wait)
        if restarts:
            tale.process("app", "killed")
            tale.process("app", "started")
        tale.call("app", f"ord-{n}")
    return handled(tale, (0, len(waits)))


def test_answers_that_are_not_waited_for_are_dlq_4():
    history = left_without_an_answer(0.7, 1.2, 0.5)
    assert verdicts(history) == {"DLQ-4": FAIL}
    assert "2 times; at least 1.0 s" in findings(history, "DLQ-4")[0].claim


@pytest.mark.parametrize("given", [(0.7, 1.2), (0.95, 0.95), (3.2,)])
def test_answers_that_are_waited_for_are_silent(given: tuple[float, ...]):
    """One alone may have been sent late, and there is time to spare."""
    assert verdicts(left_without_an_answer(*given)) == {}


def test_what_was_waited_before_the_silence_counts():
    assert verdicts(left_without_an_answer(0.5, 0.5, waited_s=0.6)) == {}


def test_a_restart_is_not_impatient():
    assert verdicts(left_without_an_answer(0.3, 0.3, restarts=True)) == {}


@pytest.mark.parametrize("what", ["restarted", "rebalance"])
def test_a_restart_or_a_rebalance_begins_the_count_anew(what: str):
    tale = tried(0.2, 0.4, expect=DEAD)
    if what == "restarted":
        tale.process("app", "killed")
        tale.process("app", "started")
    else:
        tale.assigned("app", 0, 1)
    tale.fetch("app", 0, 0, 0)
    tale.call("app", "ord-1", 503)
    for pause in (0.2, 0.4, 0.8):
        tale.wait(pause)
        tale.call("app", "ord-1", 503)
    tale.bury("app", "ord-1", 4)
    assert verdicts(handled(tale, (0, 1))) == {}


def two_counts(*, restart: bool) -> History:
    """An order is in trouble when the partitions change. The old count of attempts goes on beside a
    new one, or the new one is another life's and makes no pauses."""
    tale = tried(0.2, expect=DEAD)
    tale.assigned("app", 0, 1)
    tale.fetch("app", 0, 0, 0)
    tale.call("app", "ord-1", 503)
    if restart:
        tale.process("app", "killed")
        tale.process("app", "restarted")
    for _ in range(4):
        tale.call("app", "ord-1", 503)
    tale.bury("app", "ord-1", 4)
    return handled(tale, (0, 1))


def test_two_counts_may_go_on_side_by_side_after_a_rebalance():
    assert verdicts(two_counts(restart=False)) == {}
    assert verdicts(two_counts(restart=True)) == {"DLQ-4": FAIL}


def test_attempts_may_be_counted_over_a_restart():
    tale = tried(0.2, 0.4, expect=DEAD)
    tale.process("app", "killed")
    tale.process("app", "started")
    tale.call("app", "ord-1", 503)
    tale.bury("app", "ord-1", 4)
    assert verdicts(handled(tale, (0, 1))) == {}


def disturbed(commit: bool, written: bool) -> History:
    """Poison whose dead letter the grader holds until the program is killed."""
    tale = begun()
    tale.poison("bad-1")
    tale.fetch("app", 0, 0, 0)
    tale.fault("applied", target="Produce")
    if commit:
        tale.commit("app", 0, 1)
    tale.process("app", "killed")
    tale.fault("dropped", target="Produce")
    tale.process("app", "started")
    if written:
        tale.fetch("app", 0, 0, 0)
        tale.bury("app", "bad-1")
        tale.commit("app", 0, 1)
    return tale.end()


def test_a_commit_before_the_dead_letter_is_written_is_dlq_5():
    assert verdicts(disturbed(commit=True, written=False)) == {"DLQ-5": FAIL}


def test_a_dead_letter_that_comes_after_all_is_silent():
    assert verdicts(disturbed(commit=False, written=True)) == {}


def troubled(between: int | None, handed_out: bool = True, keys: int = 5) -> History:
    """Three orders of one customer fail four times each, one after the other, and others lie
    behind; `between`: after how many calls the first of these is worked on."""
    tale = begun()
    for number in range(3):
        tale.order(f"bad-{number}", customer="c-bad", expect=DEAD)
    others = [tale.order(f"ord-{n}", customer=f"c-{n % keys}").id for n in range(6)]
    tale.fetch("app", 0, 0, 8 if handed_out else 2)
    calls = 0
    for number in range(3):
        for pause in (0.0, 0.2, 0.4, 0.8):
            if calls == between:
                tale.call("app", others.pop(0))
            tale.wait(pause)
            tale.call("app", f"bad-{number}", 503)
            calls += 1
        tale.bury("app", f"bad-{number}", 4)
    if not handed_out:
        tale.fetch("app", 0, 3, 8)
    for id in others:
        tale.call("app", id)
    return handled(tale, (0, 9))


def test_waiting_for_anothers_retries_is_dlq_6():
    assert verdicts(troubled(None)) == {"DLQ-6": FAIL}


@pytest.mark.parametrize(
    "history",
    [troubled(2), troubled(11), troubled(None, handed_out=False), troubled(None, keys=3)],
    ids=["worked on early", "worked on late", "not handed out", "few keys"],
)
def test_one_sign_of_life_behind_the_head_is_enough(history: History):
    assert verdicts(history) == {}


def test_an_origin_is_text_in_decimal():
    told = [("dlq.topic", TOPIC.encode()), ("dlq.partition", b"2"), ("dlq.offset", b"17")]
    assert origin_of(told) == (TOPIC, 2, 17)
    assert origin_of(told[:2]) is None
    assert origin_of([*told, ("dlq.offset", b"\x00\x01")]) is None


@FEW
@given(tell())
def test_correct_programs_are_silent(history: History):
    assert verdicts(history) == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@MANY
@given(tell())
def test_many_correct_programs_are_silent(history: History):
    assert verdicts(history) == {}


def retold(facts: list[Fact]) -> History:
    return History(replace(fact, n=n) for n, fact in enumerate(facts, 1))


def a_letter(data: st.DataObject, history: History) -> Effect:
    found = [e for e in history.of(Effect) if e.table == "dlq"]
    assume(found)
    return data.draw(st.sampled_from(found))


def changed(history: History, fact: Fact, **changes: Any) -> list[Fact]:
    return [replace(each, **changes) if each is fact else each for each in history]


def drop_letters(data: st.DataObject, history: History) -> list[Fact]:
    gone = a_letter(data, history).id
    return [f for f in history if not (isinstance(f, Effect) and f.table == "dlq" and f.id == gone)]


def alter_value(data: st.DataObject, history: History) -> list[Fact]:
    letter = a_letter(data, history)
    return changed(history, letter, payload=json.dumps(letter.payload))


def lose_header(data: st.DataObject, history: History) -> list[Fact]:
    letter = a_letter(data, history)
    gone = data.draw(st.integers(0, len(letter.headers) - 1))
    return changed(history, letter, headers=letter.headers[:gone] + letter.headers[gone + 1 :])


def bury_a_good_one(data: st.DataObject, history: History) -> list[Fact]:
    letter = a_letter(data, history)
    good = [s for s in history.of(Sent) if "dlq" not in s.expect]
    assume(good)
    sent = data.draw(st.sampled_from(good))
    told = {"dlq.partition": str(sent.partition), "dlq.offset": str(sent.offset)}
    headers = [[name, told.get(name, text)] for name, text in letter.headers if name != "via"]
    value = sent.payload if sent.raw else json.dumps(sent.value)
    wrong = replace(letter, id=sent.id, key=sent.key, payload=value, headers=headers, instance=None)
    facts = list(history)
    facts.insert(len(facts) - 2 - len(history.of(type(facts[-1]))), wrong)
    return facts


def a_failure(data: st.DataObject, history: History) -> Call:
    found = [c for c in history.of(Call) if c.status in (429, 503, None)]
    assume(found)
    return data.draw(st.sampled_from(found))


def another_call(data: st.DataObject, history: History) -> list[Fact]:
    """A call right behind one that failed: too soon, and perhaps too many."""
    failed = a_failure(data, history)
    facts = list(history)
    facts.insert(failed.n, replace(failed, number=failed.number + 1, call="extra"))
    return facts


Mutation = Callable[[st.DataObject, History], list[Fact]]
MUTATIONS: dict[Mutation, tuple[set[str], set[str]]] = {
    # Without a crash it was dropped, after one it was lost.
    drop_letters: (set(), {"DLQ-1", "DLQ-5"}),
    alter_value: ({"DLQ-2"}, set()),
    lose_header: ({"DLQ-2"}, set()),
    # An order is perhaps shipped; its headers and attempts are those of another.
    bury_a_good_one: (set(), {"DLQ-1", "DLQ-3", "DLQ-2"}),
    another_call: ({"DLQ-4"}, {"DLQ-2"}),
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
def test_each_mutation_is_found_by_its_check_and_by_no_unrelated_one(mutation: Mutation):
    must, may = MUTATIONS[mutation]

    @FEW
    @given(tell(), st.data())
    def run(history: History, data: st.DataObject) -> None:
        found = verdicts(retold(mutation(data, history))).keys()
        assert found >= must
        assert found <= must | may
        assert found

    run()
