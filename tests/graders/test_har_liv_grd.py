"""HAR, LIV and GRD checks on hand-made histories."""

import pytest

from graders.verdicts import Verdict
from tests.graders.histories import Tale, findings, steady, verdicts

FAIL, WARN, INCONCLUSIVE = Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE
HARNESS_ERROR = Verdict.HARNESS_ERROR


def test_a_record_that_is_not_where_the_broker_said_is_our_fault():
    tale = steady()
    tale.log.pop(0)
    assert verdicts(tale.end())["HAR-1"] == HARNESS_ERROR


def test_a_platform_fault_is_our_fault():
    tale = steady()
    tale.append("aborted", reason="harness", detail="PlatformFault: the broker ended")
    assert verdicts(tale.end()) == {"HAR-1": HARNESS_ERROR}


def test_without_the_drained_topics_nothing_can_be_said():
    assert verdicts(steady()) == {"HAR-1": HARNESS_ERROR}


@pytest.mark.parametrize(
    ("what", "found"),
    [
        (["armed"], {"HAR-2": INCONCLUSIVE}),
        (["armed", "matched"], {"HAR-2": INCONCLUSIVE}),
        (["armed", "matched", "applied"], {}),
        (["armed", "applied", "dropped"], {}),
        (["armed", "cancelled"], {}),
    ],
)
def test_an_armed_fault_must_have_been_applied_or_ended(what: list[str], found: dict):
    tale = steady()
    for each in what:
        tale.fault(each)
    assert verdicts(tale.end()) == found


def test_a_scenario_that_waited_in_vain_says_nothing():
    tale = steady()
    tale.append("aborted", reason="not_exercised", detail="waited 10 s for f1 to hold, in vain")
    history = tale.end()
    assert verdicts(history) == {"HAR-2": INCONCLUSIVE}
    assert findings(history, "HAR-2")[0].reason == "not_exercised"


def needing_redelivery(*steps) -> Tale:
    tale = Tale(needs=("redelivery",))
    tale.process("app", "started")
    tale.send("pay-1", 0)
    tale.fetch("app", 0, 0, 0)
    tale.fetch("app", 0, 0, 0)
    tale.effect("app", "pay-1")
    for step in steps:
        step(tale)
    tale.commit("app", 0, 1)
    return tale


def test_a_needed_redelivery_must_happen():
    assert verdicts(needing_redelivery().end()) == {"HAR-2": INCONCLUSIVE}


@pytest.mark.parametrize(
    "step",
    [
        lambda tale: tale.fetch("app", 0, 0, 0),
        lambda tale: tale.process("app", "started"),
        lambda tale: tale.assigned("other", 0, 1, 2),
    ],
    ids=["fetched again", "started with the record uncommitted", "taken over uncommitted"],
)
def test_a_record_that_is_owed_again_is_enough(step):
    assert verdicts(needing_redelivery(step).end()) == {}


def test_a_stall_matters_only_when_something_was_missing():
    tale = steady()
    tale.append("stall", drift_s=0.8)
    assert verdicts(tale.end()) == {}
    tale = steady()
    tale.append("stall", drift_s=0.8)
    found = verdicts(tale.end(quiet=False, unmet=["payments-2: 1 record(s) not committed"]))
    assert found == {"HAR-4": INCONCLUSIVE, "LIV-1": INCONCLUSIVE}


def test_a_wait_that_ended_while_things_moved_is_slow_not_stuck():
    history = steady().end(quiet=False, moving=True)
    assert verdicts(history) == {"LIV-1": INCONCLUSIVE}
    assert findings(history, "LIV-1")[0].reason == "slow"


def idle() -> Tale:
    tale = Tale()
    tale.process("app", "started")
    tale.send("pay-1", 0)
    return tale


def connect(tale: Tale, service: str) -> None:
    tale.append("connection", instance="app", service=service, what="opened")


def told(tale: Tale) -> str:
    """The second fact of LIV-1: what explains best that nothing moves."""
    history = tale.end(quiet=False, unmet=["1 of 1 events have no effect (pay-1)"])
    assert verdicts(history) == {"EFF-1": INCONCLUSIVE, "EFF-6": INCONCLUSIVE, "LIV-1": FAIL}
    (finding,) = findings(history, "LIV-1")
    assert finding.claim == "The program never had any effect."
    return finding.second.text


def test_the_cause_of_no_progress_is_named():
    tale = idle()
    assert told(tale) == "The program never opened a connection to the broker."
    tale = idle()
    connect(tale, "kafka")
    assert told(tale) == "The program never opened a connection to the database."
    tale = idle()
    connect(tale, "kafka")
    connect(tale, "database")
    assert told(tale) == "The program was up and never fetched a record."
    tale = idle()
    for _ in range(2):
        refused = {"what": "refused", "detail": "too many connections"}
        tale.append("connection", instance="app", service="database", **refused)
    refusal = "app was refused 2 connection(s), the last to its database: too many connections."
    assert told(tale) == refusal


def test_a_program_that_was_given_up_is_quoted():
    tale = idle()
    tale.process("app", "exited", code=1)
    tale.process("app", "abandoned", reason="it ended 6 times", output=["KeyError: 'amount'"])
    assert "it ended 6 times. Its last output: \"KeyError: 'amount'\"" in told(tale)


def test_every_effect_but_no_commit_is_named_so():
    tale = Tale()
    tale.process("app", "started")
    tale.send("pay-1", 0)
    tale.fetch("app", 0, 0, 0)
    tale.effect("app", "pay-1")
    unmet, behind = ["payments-0: 1 record(s) not committed"], [["payments", 0, 1]]
    history = tale.end(quiet=False, unmet=unmet, behind=behind)
    assert verdicts(history) == {"LIV-1": FAIL}
    assert "committed position stays behind" in findings(history, "LIV-1")[0].claim


def test_what_is_not_announced_is_not_said_to_have_its_effect():
    tale = Tale()
    tale.process("app", "started")
    tale.send("pay-1", 0)
    tale.fetch("app", 0, 0, 0)
    tale.effect("app", "pay-1")
    history = tale.end(quiet=False, unmet=["not announced: pay-1"], behind=[])
    assert findings(history, "LIV-1")[0].claim == "The program stopped making progress."


def healed_by_a_restart(**first_end) -> Tale:
    """A run that stood still with something missing, which came after a restart."""
    tale = steady()
    tale.settle(**{"missing": 1, "unmet": ["not announced: pay-5"], **first_end})
    tale.process("app", "stopped")
    tale.process("app", "started")
    return tale


def test_what_comes_only_after_a_restart_has_not_come_by_itself():
    history = healed_by_a_restart().end()
    assert verdicts(history) == {"LIV-1": FAIL}
    (finding,) = findings(history, "LIV-1")
    assert "not announced: pay-5" in finding.first.text
    assert finding.second.text == "app was started again."


def test_what_was_late_because_of_us_or_never_came_is_not_healed():
    assert verdicts(healed_by_a_restart(quiet=False, moving=True).end()) == {}
    tale = healed_by_a_restart()
    tale.append("stall", drift_s=0.8)
    assert verdicts(tale.end()) == {}
    assert findings(healed_by_a_restart().end(missing=1), "LIV-1") == []


def test_an_instance_that_is_gone_for_good_is_not_made_up_for_by_another():
    tale = steady()
    tale.process("other", "abandoned", reason="it ended 6 times, the last time with code 1")
    history = tale.end()
    assert verdicts(history) == {"LIV-1": FAIL}
    assert findings(history, "LIV-1")[0].claim == (
        "other ended so often that it was not started again."
    )


@pytest.mark.parametrize(
    ("api", "why", "verdict"),
    [
        ("DeleteRecords", "not granted to programs", FAIL),
        ("Produce", "topic payments.t1", FAIL),
        ("CreateTopics", "not granted to programs", WARN),
        ("JoinGroup", "group mine", FAIL),
        ("ConsumerGroupHeartbeat", "group mine", FAIL),
        ("DescribeGroups", "group mine", WARN),
    ],
)
def test_refused_requests_fail_when_they_would_do_harm(api: str, why: str, verdict: Verdict):
    tale = steady()
    for _ in range(3):
        tale.append("refused", instance="app", api=api, why=why)
    history = tale.end()
    assert verdicts(history) == {"GRD-1": verdict}
    assert len(findings(history, "GRD-1")) == 1


def test_what_no_broker_could_read_is_not_asked_for():
    tale = steady()
    why = "null in a field that cannot be null"
    tale.append("refused", instance="app", api="malformed request", why=why)
    assert verdicts(tale.end()) == {}


def test_an_effect_before_its_record_was_handed_out_is_grd_4():
    tale = Tale()
    tale.send("pay-1", 0)
    tale.effect("app", "pay-1")
    tale.fetch("app", 0, 0, 0)
    tale.commit("app", 0, 1)
    history = tale.end()
    assert verdicts(history) == {"GRD-4": FAIL}
    assert "only then" in findings(history, "GRD-4")[0].second.text


def test_an_effect_whose_record_was_never_handed_out_is_grd_4():
    tale = Tale()
    tale.send("pay-1", 0)
    tale.effect("app", "pay-1")
    tale.commit("app", 0, 1)
    assert "Until the end" in findings(tale.end(), "GRD-4")[0].second.text


def test_any_record_of_the_event_handed_to_any_instance_earns_the_effect():
    tale = Tale()
    tale.send("pay-1", 0)
    tale.send("pay-1", 1)
    tale.fetch("other", 1, 0, 0)
    tale.effect("app", "pay-1")
    tale.commit("app", 0, 1)
    tale.commit("app", 1, 1)
    assert verdicts(tale.end()) == {}
