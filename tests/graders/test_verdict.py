import pytest

from graders.spec import CheckUse
from graders.verdict import (
    Attempt,
    ScenarioOutcome,
    combine,
    conclude,
    is_hopeless,
    judge,
    score,
    skipped,
    wants_another,
)
from graders.verdicts import Verdict, worst
from tests.graders.histories import ALL, Tale, steady

FAIL, WARN, PASS = Verdict.FAIL, Verdict.WARN, Verdict.PASS
HARNESS_ERROR, INCONCLUSIVE = Verdict.HARNESS_ERROR, Verdict.INCONCLUSIVE


def good() -> Attempt:
    return judge(steady().end(), ALL)


def doubled(tale: Tale | None = None, **end) -> Attempt:
    tale = tale or steady()
    tale.process("app", "killed")
    tale.effect("app", "pay-0")
    return judge(tale.end(**end), ALL)


def stuck() -> Attempt:
    return judge(steady().end(quiet=False, unmet=["..."]), ALL)


def stuck_without_effect(*, plain: bool) -> Attempt:
    tale = Tale()
    tale.process("app", "started")
    tale.send("pay-1", 0)
    if not plain:
        tale.append("connection", instance="app", service="kafka", what="opened")
    return judge(tale.end(quiet=False, unmet=["..."]), ALL)


def late() -> Attempt:
    tale = steady()
    tale.settle(missing=1, unmet=["..."])
    tale.process("app", "started")
    return judge(tale.end(), ALL)


def broken() -> Attempt:
    tale = steady()
    tale.append("aborted", reason="harness", detail="the broker ended")
    return judge(tale.end(), ALL)


def unexercised() -> Attempt:
    tale = steady()
    tale.append("aborted", reason="not_exercised", detail="waited in vain")
    return judge(tale.end(), ALL)


def test_what_came_late_counts_when_seen_twice_and_leaves_no_doubt_about_the_rest():
    assert wants_another([late()])
    assert not wants_another([late(), late()])
    verdicts = dict(conclude("a_tale", [late(), late()], ALL).verdicts)
    assert verdicts.pop("LIV-1") == FAIL
    assert set(verdicts.values()) == {PASS}
    assert set(conclude("a_tale", [late(), good()], ALL).verdicts.values()) == {PASS}
    assert conclude("a_tale", [late()], ALL).verdicts["LIV-1"] == INCONCLUSIVE


def test_a_scenario_took_as_long_as_its_attempts_together():
    first, second = stuck(), good()
    outcome = conclude("a_tale", [first, second], ALL)
    assert first.history.seconds > 0
    assert outcome.seconds == first.history.seconds + second.history.seconds
    assert skipped("a_tale", "not played", ALL).seconds == 0


def test_the_order_of_verdicts():
    assert worst([PASS, WARN]) == WARN
    assert worst([WARN, INCONCLUSIVE, PASS]) == INCONCLUSIVE
    assert worst([INCONCLUSIVE, HARNESS_ERROR]) == HARNESS_ERROR
    assert worst([HARNESS_ERROR, FAIL, PASS]) == FAIL
    assert worst([]) == PASS


def test_silence_means_pass_only_when_the_attempt_says_something():
    assert set(good().verdicts.values()) == {PASS}
    assert {unexercised().verdicts[id] for id in ALL} == {INCONCLUSIVE}
    assert {broken().verdicts[id] for id in ALL} == {HARNESS_ERROR}
    assert {stuck().verdicts[id] for id in ALL} == {FAIL, INCONCLUSIVE}


def test_a_violation_stands_though_the_scenario_went_wrong():
    tale = steady()
    tale.append("aborted", reason="not_exercised", detail="waited in vain")
    attempt = doubled(tale)
    assert attempt.verdicts["EFF-2"] == FAIL
    assert attempt.verdicts["COM-2"] == INCONCLUSIVE


def test_nothing_counts_when_our_ground_gave_way():
    tale = steady()
    tale.append("aborted", reason="harness", detail="the database ended")
    attempt = doubled(tale)
    assert attempt.verdicts["EFF-2"] == HARNESS_ERROR
    assert not attempt.violates


@pytest.mark.parametrize(
    ("attempts", "again"),
    [
        ([good], False),
        ([doubled], False),
        ([broken], True),
        ([broken, broken], True),
        ([broken, broken, broken], False),
        ([broken, good], False),
        ([unexercised], True),
        ([unexercised, good], False),
        ([stuck], True),
        ([stuck, stuck], False),
        ([stuck, good], True),
        ([stuck, good, good], False),
        ([late, good], False),
        ([stuck, broken], True),
        ([stuck, doubled], False),
    ],
    ids=lambda value: (
        str(value) if isinstance(value, bool) else "+".join(f.__name__ for f in value)
    ),
)
def test_when_a_scenario_is_played_again(attempts, again):
    assert wants_another([make() for make in attempts]) == again


def test_what_is_known_to_be_stuck_need_not_be_confirmed_in_each_scenario():
    assert wants_another([stuck()])
    assert not wants_another([stuck()], known={"LIV-1"})
    assert not wants_another([stuck(), good()], known={"LIV-1"})
    assert wants_another([broken()], known={"LIV-1"})


@pytest.mark.parametrize(
    ("attempts", "check", "verdict"),
    [
        ([good], "EFF-2", PASS),
        ([doubled], "EFF-2", FAIL),
        ([doubled], "COM-2", PASS),
        ([stuck, stuck], "LIV-1", FAIL),
        ([stuck, stuck], "EFF-2", INCONCLUSIVE),
        ([stuck, good], "LIV-1", WARN),
        ([stuck, good, good], "LIV-1", WARN),
        ([stuck, good, stuck], "LIV-1", FAIL),
        ([stuck, unexercised, unexercised], "LIV-1", INCONCLUSIVE),
        ([stuck, broken, broken], "LIV-1", INCONCLUSIVE),
        ([stuck, unexercised, good], "LIV-1", WARN),
        ([stuck, good], "EFF-2", PASS),
        ([stuck, doubled], "EFF-2", FAIL),
        ([stuck, doubled], "LIV-1", WARN),
        ([stuck], "LIV-1", INCONCLUSIVE),
        ([broken, good], "EFF-2", PASS),
        ([broken, stuck, stuck], "LIV-1", FAIL),
        ([broken, broken, broken], "EFF-2", HARNESS_ERROR),
        ([unexercised, unexercised, unexercised], "EFF-2", INCONCLUSIVE),
    ],
)
def test_what_a_scenario_says_after_its_attempts(attempts, check, verdict):
    outcome = conclude("a_tale", [make() for make in attempts], ALL)
    assert outcome.verdicts[check] == verdict


def test_a_program_without_any_effect_is_given_up():
    plain, puzzling = stuck_without_effect(plain=True), stuck_without_effect(plain=False)
    assert not is_hopeless([plain])
    assert is_hopeless([plain, plain])
    assert not is_hopeless([puzzling, puzzling])
    assert is_hopeless([puzzling, puzzling, puzzling])
    assert not is_hopeless([plain, plain, good()])
    assert is_hopeless([broken(), plain, plain])
    outcome = conclude("a_tale", [plain], ALL, hopeless=True)
    assert outcome.verdicts["LIV-1"] == FAIL


def test_a_program_that_gets_stuck_everywhere_need_not_be_played_to_the_end():
    assert not is_hopeless([stuck()] * 3)
    assert is_hopeless([stuck()] * 4)
    assert not is_hopeless([stuck()] * 4 + [good()])


def test_a_skipped_scenario_is_never_a_pass():
    outcome = skipped("a_tale", "because", ["EFF-1", "EFF-2"])
    assert set(outcome.verdicts.values()) == {INCONCLUSIVE}
    assert outcome.detail == "because"
    fine = conclude("another", [good()], ["EFF-1", "EFF-2"])
    assert combine([fine, outcome], "EFF-1") == INCONCLUSIVE


def test_the_score_is_the_weighted_share_of_what_passed():
    uses = [CheckUse("A", 3, "s"), CheckUse("B", 1, "s"), CheckUse("C", 4, "s")]
    one = ScenarioOutcome("one", {"A": PASS, "B": WARN, "C": FAIL})
    two = ScenarioOutcome("two", {"A": INCONCLUSIVE, "B": PASS, "C": PASS})
    three = ScenarioOutcome("three", {"A": PASS, "B": PASS, "C": HARNESS_ERROR})
    assert score([one], uses) == 0.5
    assert score([two, three], uses) == 0.5625
    assert score([one, two, three], uses) == 0.375
    assert score([], uses) == 0


def test_a_repeat_is_more_patient_unless_only_the_platform_failed():
    assert stuck().took_long and unexercised().took_long
    assert not good().took_long and not broken().took_long
