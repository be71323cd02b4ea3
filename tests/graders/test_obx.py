"""OBX checks on hand-made histories: mistakes are found, legal twists are not."""

import pytest

from graders.checks import check
from graders.checks.obx import WHY_DEAF, WHY_LATE, WHY_UNDRAINED
from graders.checks.outbox import Outbox
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.outboxes import Play, steady, verdicts

FAIL, INCONCLUSIVE = Verdict.FAIL, Verdict.INCONCLUSIVE


def claim(history: History, id: str) -> str:
    """What the check's only finding says."""
    (finding,) = check(history, [id])
    return finding.claim


def test_a_correct_course_is_silent_and_owes_nothing():
    history = steady().end()
    assert verdicts(history) == {}
    assert Outbox(history).owed == []


def test_a_challenge_without_an_outbox_has_no_rows_and_no_events():
    play = steady()
    bare = History(f for f in play if type(f).__name__ != "ScenarioBegan")
    began = {"challenge": "other", "scenario": "a", "seed": 1, "driver": "process", "group": "g"}
    other = Play.__mro__[1]()
    other.append("scenario", **began, topics={})
    outbox = Outbox(History([*other, *bare]))
    assert (outbox.rows, outbox.outputs, outbox.owed) == ({}, [], [])


@pytest.mark.parametrize("ours", [True, False])
def test_a_row_without_an_event_at_rest_is_obx_1(ours: bool):
    play = steady()
    if ours:
        play.office("bkg-c", 1)
    else:
        play.commit(play.send("cmd-9", "bkg-c", 1))
        play.row("cmd-9", "bkg-c", 1)
    history = play.end()
    assert verdicts(history, ["OBX-1", "OBX-5", "OBX-6"]) == {"OBX-1": FAIL}
    assert "Version 1 of bkg-c was never published" in claim(history, "OBX-1")


def test_a_row_that_was_marked_and_not_published_is_obx_1():
    play = steady()
    row = play.office("bkg-c", 1)
    play.mark(row)
    history = play.end()
    assert verdicts(history) == {"OBX-1": FAIL}
    (finding,) = check(history, ["OBX-1"])
    assert finding.second
    assert "marked as published" in finding.second.text


def test_a_row_is_not_lost_while_the_program_is_not_at_rest():
    play = steady()
    play.office("bkg-c", 1)
    assert verdicts(play.end(quiet=False), ["OBX-1"]) == {"OBX-1": INCONCLUSIVE}


def test_a_row_from_before_a_rest_is_lost_though_the_end_was_not_quiet():
    play = steady()
    play.office("bkg-c", 1)
    play.settle()
    assert verdicts(play.end(quiet=False), ["OBX-1"]) == {"OBX-1": FAIL}


def test_an_event_that_says_something_else_than_its_row_is_obx_2():
    play = steady()
    row = play.office("bkg-c", 1)
    play.publish(row, seats=2)
    play.relay(row)
    history = play.end()
    assert verdicts(history) == {"OBX-2": FAIL}
    assert "events-0@4 tells of what never happened" in claim(history, "OBX-2")


@pytest.mark.parametrize(
    "value",
    [
        {"event_id": "x", "booking": "bkg-a", "version": 3, "seats": 1},
        {"event_id": "x", "booking": "bkg-z", "version": 1, "seats": 1},
        {"event_id": "x", "booking": "bkg-a", "version": "1", "seats": 4},
        {"event_id": "x", "booking": "bkg-a", "version": True, "seats": 4},
        {"event_id": "x", "booking": 7, "version": 1, "seats": 4},
        {"event_id": "x", "booking": "bkg-a", "version": 1},
        {"event_id": "x"},
        ["bkg-a", 1, 4],
        None,
    ],
)
def test_a_record_that_no_row_stands_behind_is_obx_2(value: object):
    play = steady()
    play.say(value, key="bkg-a")
    assert verdicts(play.end()) == {"OBX-2": FAIL}


def test_an_event_that_was_early_and_came_true_is_not_a_ghost():
    play = steady()
    row = play.office("bkg-c", 1)
    facts = list(play)
    event = play.publish(row)
    play.mark(row)
    history = play.end()
    early = [*facts[:-1], event, row, *list(history)[len(facts) + 1 :]]
    assert verdicts(History(early), ["OBX-1", "OBX-2"]) == {}


def test_without_the_drained_log_nothing_is_a_ghost():
    play = steady()
    play.say(None)
    assert list(check(History(play), ["OBX-2"])) == []


def test_a_later_version_before_an_earlier_one_is_obx_3():
    play = steady()
    one, two = play.office("bkg-c", 1), play.office("bkg-c", 2)
    play.relay(two, one)
    history = play.end()
    assert verdicts(history) == {"OBX-3": FAIL}
    assert claim(history, "OBX-3") == "Version 2 of bkg-c was published before version 1."


def test_repeats_do_not_count_for_the_order():
    play = steady()
    one, two, three = (play.office("bkg-c", seats) for seats in (1, 2, 3))
    play.relay(one, two)
    play.relay(one, two, three)
    assert verdicts(play.end()) == {}


def test_between_bookings_there_is_no_order():
    play = steady()
    one, two = play.office("bkg-c", 1), play.office("bkg-d", 2)
    play.publish(two, partition=1)
    play.publish(one, partition=2)
    play.mark(one)
    play.mark(two)
    assert verdicts(play.end()) == {}


def test_a_version_that_never_comes_is_lost_and_not_out_of_order():
    play = steady()
    play.office("bkg-c", 1)
    play.relay(play.office("bkg-c", 2))
    found = verdicts(play.end())
    assert found == {"OBX-1": FAIL}


def test_a_booking_in_two_partitions_is_obx_3():
    play = steady()
    one, two = play.office("bkg-c", 1), play.office("bkg-c", 2)
    play.publish(one)
    play.publish(two, partition=1)
    play.mark(one)
    play.mark(two)
    history = play.end()
    assert verdicts(history) == {"OBX-3": FAIL}
    assert "several partitions" in claim(history, "OBX-3")


@pytest.mark.parametrize("key", [None, "evt-1"])
def test_another_key_than_the_booking_is_obx_3(key: str | None):
    play = steady()
    row = play.office("bkg-c", 1)
    play.publish(row, key=key)
    play.mark(row)
    assert verdicts(play.end()) == {"OBX-3": FAIL}


@pytest.mark.parametrize("more", [{"event_id": "other"}, {"at": 12.5}, {"seats": 1.5}])
def test_a_repeat_that_is_not_the_same_is_obx_4(more: dict[str, object]):
    play = steady()
    row = play.office("bkg-c", 1)
    play.publish(row)
    play.publish(row, **more)
    play.mark(row)
    expected = "OBX-2" if "seats" in more else "OBX-4"
    assert verdicts(play.end()) == {expected: FAIL}


def test_free_fields_that_stay_the_same_are_free():
    play = steady()
    row = play.office("bkg-c", 1)
    play.publish(row, source="outbox")
    play.publish(row, source="outbox")
    play.mark(row)
    assert verdicts(play.end()) == {}


@pytest.mark.parametrize("id", [None, "", 12])
def test_an_event_without_a_text_as_id_is_obx_4(id: object):
    play = steady()
    row = play.office("bkg-c", 1)
    play.publish(row, event_id=id)
    play.mark(row)
    history = play.end()
    assert verdicts(history) == {"OBX-4": FAIL}
    assert claim(history, "OBX-4") == "events-0@4 has no event_id."


def test_one_event_id_for_two_rows_is_obx_4():
    play = steady()
    for row in (play.office("bkg-c", 1), play.office("bkg-c", 2)):
        play.publish(row, event_id="evt-bkg-c")
        play.mark(row)
    history = play.end()
    assert verdicts(history) == {"OBX-4": FAIL}
    assert "stands for version 1 of bkg-c and for version 2 of bkg-c" in claim(history, "OBX-4")


@pytest.mark.parametrize(("times", "found"), [(15, {}), (16, {"OBX-4": FAIL})])
def test_publishing_without_end_is_obx_4(times: int, found: dict[str, Verdict]):
    play = steady()
    row = play.office("bkg-c", 1)
    for _ in range(times):
        play.publish(row)
    play.mark(row)
    assert verdicts(play.end()) == found


def restarted(repeats: int) -> History:
    """After a clean restart so many of ten marked rows are published again."""
    play = steady()
    rows = [play.office("bkg-c", seats) for seats in range(6)]
    play.relay(*rows)
    play.settle()
    play.aftershock()
    for row in rows[:repeats]:
        play.publish(row)
    return play.end()


@pytest.mark.parametrize(("repeats", "found"), [(5, {}), (6, {"OBX-4": FAIL})])
def test_a_restart_that_publishes_the_past_again_is_obx_4(repeats: int, found: dict[str, Verdict]):
    assert verdicts(restarted(repeats)) == found


def test_what_was_not_marked_may_come_again_after_a_restart():
    play = Play()
    rows = [play.office("bkg-c", seats) for seats in range(4)]
    for row in rows:
        play.publish(row)
    play.settle()
    play.aftershock()
    play.relay(*rows)
    assert verdicts(play.end(), ["OBX-4"]) == {}


def late(play: Play, published_first: bool) -> History:
    """Two rows; the one with the lower id is committed second, and never published."""
    low, high = play.draw_id(), play.draw_id()
    row = play.office("bkg-c", 1, high)
    if published_first:
        play.relay(row)
    play.office("bkg-d", 1, low)
    if not published_first:
        play.relay(row)
    return play.end()


def test_a_row_committed_behind_a_published_higher_id_is_obx_5():
    history = late(steady(), published_first=True)
    assert verdicts(history) == {"OBX-5": FAIL}
    assert "committed behind a higher id" in claim(history, "OBX-5")


def test_what_was_committed_before_the_higher_id_was_published_is_obx_1():
    assert verdicts(late(steady(), published_first=False)) == {"OBX-1": FAIL}


def test_a_late_commit_that_is_published_is_right():
    play = steady()
    low = play.draw_id()
    play.relay(play.office("bkg-c", 1))
    play.relay(play.office("bkg-d", 1, low))
    assert verdicts(play.end()) == {}


def test_a_row_that_is_published_only_after_a_restart_is_obx_6():
    play = steady()
    row = play.office("bkg-c", 1)
    play.settle()
    play.aftershock()
    play.relay(row)
    history = play.end()
    assert verdicts(history) == {"OBX-6": FAIL}
    assert "not drained: 1 row(s), version 1 of bkg-c first" in claim(history, "OBX-6")


@pytest.mark.parametrize(
    "service, detail, why",
    [
        ("database", "by the database", WHY_DEAF),
        ("database", "from the program's side", WHY_UNDRAINED),
        ("kafka", "cut by the grader", WHY_UNDRAINED),
    ],
)
def test_a_late_row_behind_a_broken_connection_to_the_database_shows_it(
    service: str, detail: str, why: str
):
    play = steady()
    ended = play.append("connection", instance="app", service=service, what="closed", detail=detail)
    row = play.office("bkg-c", 1)
    play.settle()
    play.aftershock()
    play.relay(row)
    (late,) = check(play.end(), ["OBX-6"])
    assert late.why == why
    assert (ended.n in late.rows) == (why == WHY_DEAF)


def test_a_row_behind_a_published_one_that_needs_a_restart_shows_the_one_ahead():
    play = steady()
    low = play.draw_id()
    ahead = play.publish(play.office("bkg-c", 1))
    row = play.office("bkg-d", 1, low)
    play.settle()
    play.aftershock()
    play.relay(row)
    (late, _) = check(play.end(), ["OBX-6"])
    assert late.why == WHY_LATE
    assert ahead.n in late.rows


def test_a_row_that_is_committed_after_a_rest_may_be_published_after_it():
    play = steady()
    play.settle()
    play.aftershock()
    play.relay(play.office("bkg-c", 1))
    assert verdicts(play.end()) == {}


def test_a_published_row_that_is_never_marked_is_obx_6():
    play = steady()
    play.publish(play.office("bkg-c", 1))
    history = play.end()
    assert verdicts(history) == {"OBX-6": FAIL}
    assert Outbox(history).owed == ["the mark of version 1 of bkg-c"]


def test_a_row_that_is_not_marked_yet_is_no_finding_before_there_was_rest():
    play = steady()
    play.publish(play.office("bkg-c", 1))
    assert verdicts(play.end(quiet=False), ["OBX-6"]) == {}


def test_what_is_owed_is_told_in_the_order_of_the_commits():
    play = steady()
    play.office("bkg-d", 1)
    play.publish(play.office("bkg-c", 1))
    assert Outbox(History(play)).owed == ["version 1 of bkg-d", "the mark of version 1 of bkg-c"]


def test_rows_of_the_grader_are_no_effects_of_the_program():
    history = steady().end()
    assert verdicts(history, ["EFF-1", "EFF-3", "EFF-6", "GRD-4"]) == {}
