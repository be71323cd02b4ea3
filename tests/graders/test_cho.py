"""CHO checks on hand-made histories: mistakes are found, legal twists are not."""

from dataclasses import replace

import pytest

from graders.checks import check
from graders.choreography import Choreography
from graders.facts import Output, Sent
from graders.history import History
from graders.verdicts import Verdict
from tests.graders.histories import findings
from tests.graders.orders import CHECKED, Play, steady

FAIL, INCONCLUSIVE = Verdict.FAIL, Verdict.INCONCLUSIVE


def verdicts(history: History) -> dict[str, Verdict]:
    """What the challenge's checks found, by id."""
    return {finding.check: finding.verdict for finding in check(history, CHECKED)}


def claims(history: History, id: str) -> list[str]:
    return [finding.claim for finding in check(history, [id])]


def test_a_correct_course_is_silent():
    assert verdicts(steady().end()) == {}


def test_a_record_that_comes_again_with_the_same_event_id_is_free():
    play = steady()
    play.write("StockReserved", "ord-1", "OrderPlaced-ord-1")
    play.write("OrderFailed", "ord-2", "PaymentDeclined-ord-2")
    assert verdicts(play.end()) == {}


def test_events_of_other_types_are_nobodys_business():
    play = steady()
    for _ in range(100):
        offset = play.ends["shipments"]
        play.ends["shipments"] += 1
        place = {"topic": "shipments", "partition": 0, "offset": offset}
        value = {"type": "LabelPrinted", "order_id": "ord-1"}
        play.append("output", **place, key="ord-1", value=value, instance="shipping")
    assert verdicts(play.end()) == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"causation_id": None}, "names None as its cause"),
        ({"causation_id": "evt-nowhere"}, "'evt-nowhere' as its cause, no event of this order"),
        ({"causation_id": "OrderFailed-ord-9"}, "no event of this order"),
        ({"causation_id": "StockReserved-ord-1"}, "names itself as its cause, not OrderPlaced"),
        ({"correlation_id": "ord-1"}, "has the correlation id 'ord-1', not 'req-ord-1'"),
        ({"event_id": None}, "has no event id"),
    ],
)
def test_a_broken_link_is_cho_1(changes: dict[str, str | None], words: str):
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    play.row("reservations", "ord-1")
    play.write("StockReserved", "ord-1", placed, **changes)
    captured = play.send("PaymentCaptured", "ord-1", None)
    play.row("deliveries", "ord-1")
    play.write("OrderShipped", "ord-1", captured)
    history = play.end()
    assert verdicts(history) == {"CHO-1": FAIL}
    (claim,) = claims(history, "CHO-1")
    assert words in claim


def test_an_order_that_nobody_placed_breaks_the_chain():
    play = steady()
    play.write("OrderFailed", "ord-unknown", "evt-1")
    (claim,) = claims(play.end(), "CHO-1")
    assert "no subject that was ever begun (ord-unknown)" in claim


def test_an_answer_to_an_event_of_another_type_shows_what_it_answers():
    play = steady()
    play.append(
        "sent",
        topic="payments.t1",
        partition=0,
        offset=play.ends["payments"],
        key="ord-unknown",
        id="evt-1",
        value={"event_id": "evt-1", "type": "PaymentReminderSent", "order_id": "ord-unknown"},
        expect={},
    )
    play.ends["payments"] += 1
    play.write("OrderFailed", "ord-unknown", "evt-1")
    (finding,) = check(play.end(), ["CHO-1"])
    assert finding.second and "answers is PaymentReminderSent 'evt-1'" in finding.second.text


@pytest.mark.parametrize(
    ("late_s", "names", "checks"),
    [
        (2.1, "PaymentCaptured", {"CHO-1": FAIL}),
        (1.5, "PaymentCaptured", {}),  # it may be dealt with a moment after it was stored
        (2.1, "StockReserved", {}),
    ],
)
def test_what_is_shipped_names_what_came_last(late_s: float, names: str, checks):
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    play.send("PaymentCaptured", "ord-1", placed)
    play.commit("shipping", "payments", 0)
    for _ in range(int(late_s * 100)):
        play.append("story", text="Nothing happens.")
    play.row("reservations", "ord-1")
    play.write("StockReserved", "ord-1", placed)
    play.row("deliveries", "ord-1")
    play.write("OrderShipped", "ord-1", f"{names}-ord-1")
    assert verdicts(play.end()) == checks


def test_an_order_that_comes_last_of_all_leaves_the_choice():
    play = Play()
    play.deaf.add("shipping")
    placed = play.send("OrderPlaced", "ord-1")
    play.row("reservations", "ord-1")
    play.deaf.clear()
    captured = play.send("PaymentCaptured", "ord-1", placed)
    play.commit("shipping", "payments", 0)
    for _ in range(210):
        play.append("story", text="Nothing happens.")
    play.write("StockReserved", "ord-1", placed)
    play.fetch("shipping", "orders", 0)
    play.row("deliveries", "ord-1")
    play.write("OrderShipped", "ord-1", captured)
    assert verdicts(play.end()) == {}


def test_a_circle_is_cho_2_and_nothing_else_is_said_of_the_order():
    play = steady()
    cause = "StockReleased-ord-2"
    for turn in range(3):
        failed = play.write("OrderFailed", "ord-2", cause, event_id=f"failed-{turn}")
        cause = play.write("StockReleased", "ord-2", failed, event_id=f"released-{turn}")
    history = play.end()
    assert verdicts(history) == {"CHO-2": FAIL}
    (claim,) = claims(history, "CHO-2")
    assert "ord-2 run in a circle" in claim


def test_the_same_event_without_end_is_cho_2():
    play = steady()
    for _ in range(60):
        play.write("OrderFailed", "ord-2", "PaymentDeclined-ord-2")
    assert verdicts(play.end()) == {"CHO-2": FAIL}


def test_many_event_ids_that_lead_to_nothing_are_a_flood_and_no_circle():
    play = steady()
    for turn in range(11):
        play.write("OrderFailed", "ord-2", "PaymentDeclined-ord-2", event_id=f"failed-{turn}")
    history = play.end()
    assert verdicts(history) == {"CHO-2": FAIL}
    (claim,) = claims(history, "CHO-2")
    assert "ord-2 are a flood" in claim


def test_a_second_event_id_for_one_step_is_cho_3_quiet_or_not():
    play = steady()
    again = play.write("StockReserved", "ord-1", "OrderPlaced-ord-1", event_id="other")
    history = play.end(quiet=False)
    assert verdicts(history)["CHO-3"] == FAIL
    (finding,) = check(history, ["CHO-3"])
    assert again == "other"
    assert "StockReserved, with two event ids" in finding.claim


def test_two_ends_of_one_order_are_cho_3():
    play = steady()
    cancelled = play.send("OrderCancelled", "ord-1")
    failed = play.write("OrderFailed", "ord-1", cancelled)
    play.release("ord-1", failed)
    history = play.end()
    assert verdicts(history) == {"CHO-3": FAIL}
    assert "OrderShipped and OrderFailed" in claims(history, "CHO-3")[0]


def test_the_id_of_the_cause_is_not_free_for_the_answer():
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    play.row("reservations", "ord-1")
    play.write("StockReserved", "ord-1", placed, event_id=placed)
    assert "stands for OrderPlaced and for StockReserved" in claims(play.end(), "CHO-3")[0]


def test_an_announcement_while_its_row_is_held_is_cho_4_though_the_row_came():
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    play.hold("applied", "reservations", "ord-1")
    play.write("StockReserved", "ord-1", placed)
    play.hold("released", "reservations", "ord-1")
    play.row("reservations", "ord-1")
    captured = play.send("PaymentCaptured", "ord-1", None)
    play.row("deliveries", "ord-1")
    play.write("OrderShipped", "ord-1", captured)
    history = play.end()
    assert verdicts(history) == {"CHO-4": FAIL}
    assert "before its row of reservations was committed" in claims(history, "CHO-4")[0]


def test_an_announcement_before_its_commit_was_held_is_cho_4_too():
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    reserved = play.write("StockReserved", "ord-1", placed)
    play.hold("applied", "reservations", "ord-1")
    play.hold("released", "reservations", "ord-1")
    play.row("reservations", "ord-1")
    play.release("ord-1", play.fail("ord-1"))
    assert reserved
    assert verdicts(play.end()) == {"CHO-4": FAIL}


def test_another_instance_may_announce_a_committed_row_while_the_first_is_held():
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    play.hold("applied", "reservations", "ord-1")
    play.row("reservations", "ord-1")
    reserved = play.write("StockReserved", "ord-1", placed)
    play.hold("released", "reservations", "ord-1")
    play.release(
        "ord-1", play.write("OrderFailed", "ord-1", play.send("PaymentDeclined", "ord-1", reserved))
    )
    assert verdicts(play.end()) == {}


def test_a_row_that_never_was_is_cho_4():
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    reserved = play.write("StockReserved", "ord-1", placed)
    failed = play.write("OrderFailed", "ord-1", play.send("PaymentDeclined", "ord-1", reserved))
    play.release("ord-1", failed)
    history = play.end()
    assert verdicts(history) == {"CHO-4": FAIL, "EFF-1": FAIL}
    assert "no such row of reservations was ever committed" in claims(history, "CHO-4")[0]


def test_a_row_with_other_values_is_cho_4():
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    play.row("reservations", "ord-1", quantity=3)
    play.write("StockReserved", "ord-1", placed)
    assert "quantity 3, not 2" in claims(play.end(), "CHO-4")[0]


def test_shipping_without_a_payment_is_cho_4():
    play = Play()
    reserved = play.reserve("ord-1")
    play.row("deliveries", "ord-1")
    play.write("OrderShipped", "ord-1", reserved)
    history = play.end()
    assert verdicts(history) == {"CHO-4": FAIL}
    assert "without PaymentCaptured" in claims(history, "CHO-4")[0]


def test_shipping_before_the_payment_was_read_is_cho_4():
    play = Play()
    reserved = play.reserve("ord-1")
    play.deaf.add("shipping")
    play.send("PaymentCaptured", "ord-1", reserved)
    play.row("deliveries", "ord-1")
    play.write("OrderShipped", "ord-1", reserved)
    play.fetch("shipping", "payments", 0)
    history = play.end()
    assert verdicts(history) == {"CHO-4": FAIL}
    assert "before PaymentCaptured was known to the service" in claims(history, "CHO-4")[0]


def test_shipping_before_the_payment_was_sent_is_cho_4():
    play = Play()
    reserved = play.reserve("ord-1")
    play.row("deliveries", "ord-1")
    play.write("OrderShipped", "ord-1", reserved)
    play.send("PaymentCaptured", "ord-1", reserved)
    assert verdicts(play.end()) == {"CHO-4": FAIL}


@pytest.mark.parametrize("last", ["PaymentCaptured", "StockReserved"])
def test_a_delivery_before_the_last_of_its_needs_is_cho_4_though_it_is_announced_later(last: str):
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    play.row("reservations", "ord-1")
    events = {
        "StockReserved": lambda: play.write("StockReserved", "ord-1", placed),
        "PaymentCaptured": lambda: play.send("PaymentCaptured", "ord-1", placed),
    }
    at_last = events.pop(last)
    for write in events.values():
        write()
    play.row("deliveries", "ord-1")
    play.write("OrderShipped", "ord-1", at_last())
    history = play.end()
    assert verdicts(history) == {"CHO-4": FAIL}
    (claim,) = claims(history, "CHO-4")
    assert claim.startswith(f"deliveries got its row for ord-1 before {last} was known")


def test_a_delivery_that_waits_for_its_announcement_is_fine():
    play = Play()
    captured = play.send("PaymentCaptured", "ord-1", play.reserve("ord-1"))
    play.row("deliveries", "ord-1")
    play.reserve("ord-2")
    play.write("OrderShipped", "ord-1", captured)
    play.release("ord-2", play.fail("ord-2"))
    assert verdicts(play.end()) == {}


def test_a_delivery_without_a_payment_is_cho_4_though_it_is_never_announced():
    play = steady()
    play.reserve("ord-4")
    play.row("deliveries", "ord-4")
    assert verdicts(play.end()) == {"CHO-4": FAIL, "CHO-6": FAIL}


def test_a_release_is_not_too_early_when_the_reservation_has_yet_to_be_announced():
    play = steady()
    cancel_unannounced(play, "ord-4")
    assert "CHO-4" not in verdicts(play.end(quiet=False))


def test_a_release_of_what_was_rejected_is_cho_4():
    play = steady()
    play.reject("ord-4")
    play.release("ord-4", "OrderFailed-ord-4")
    found = verdicts(without_expectation(play.end(), "ord-4"))
    assert found == {"CHO-4": FAIL}


def without_expectation(history: History, order: str) -> History:
    """The order was not to be reserved."""
    return History(
        replace(f, expect={}) if isinstance(f, Sent) and f.id == order else f for f in history
    )


def ship_after_cancellation(late_s: float) -> Play:
    """An order is shipped, though it was cancelled so long before its reservation came."""
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    play.send("PaymentCaptured", "ord-1", placed)
    play.send("OrderCancelled", "ord-1")
    play.commit("shipping", "orders", 1)
    for _ in range(int(late_s * 100)):
        play.append("story", text="Nothing happens.")
    play.row("reservations", "ord-1")
    reserved = play.write("StockReserved", "ord-1", placed)
    play.row("deliveries", "ord-1")
    play.write("OrderShipped", "ord-1", reserved)
    return play


def test_shipping_what_was_cancelled_before_it_could_be_shipped_is_cho_4():
    history = ship_after_cancellation(2.5).end()
    assert verdicts(history) == {"CHO-4": FAIL}
    assert "though OrderCancelled had decided it otherwise" in claims(history, "CHO-4")[0]


def test_a_cancellation_may_be_dealt_with_a_moment_after_it_was_stored():
    assert verdicts(ship_after_cancellation(1.0).end()) == {}


def reserve_after_failure(late_s: float) -> Play:
    """Goods are reserved for an order that failed so long before stock got to know it, and put back
    when the failure is repeated."""
    play = Play()
    failed = play.write("OrderFailed", "ord-1", play.send("PaymentDeclined", "ord-1"))
    play.commit("stock", "shipments", 0)
    for _ in range(int(late_s * 100)):
        play.append("story", text="Nothing happens.")
    placed = play.send("OrderPlaced", "ord-1")
    play.row("reservations", "ord-1")
    play.write("StockReserved", "ord-1", placed)
    play.write("OrderFailed", "ord-1", "PaymentDeclined-ord-1")
    play.release("ord-1", failed)
    return play


def test_reserving_for_an_order_whose_failure_was_dealt_with_before_is_cho_4():
    history = reserve_after_failure(2.5).end()
    assert verdicts(history) == {"CHO-4": FAIL}
    assert "though OrderFailed had decided it otherwise" in claims(history, "CHO-4")[0]


def test_a_failure_may_be_dealt_with_a_moment_after_it_was_stored():
    assert verdicts(reserve_after_failure(1.0).end()) == {}


def test_a_cancellation_that_comes_when_all_is_known_may_be_too_late():
    play = steady()
    play.send("OrderCancelled", "ord-1")
    play.commit("shipping", "orders", play.ends["orders"] - 1)
    assert verdicts(play.end()) == {}


def test_a_failure_that_came_before_the_order_and_was_forgotten_is_cho_5():
    play = Play()
    play.deaf.add("stock")
    declined = play.send("PaymentDeclined", "ord-1", "OrderPlaced-ord-1")
    play.write("OrderFailed", "ord-1", declined)
    play.fetch("stock", "shipments", 0)
    play.commit("stock", "shipments", 0)
    play.deaf.clear()
    play.reserve("ord-1")
    history = play.end()
    assert verdicts(history) == {"CHO-5": FAIL}
    assert "OrderFailed of ord-1 came before its OrderPlaced" in claims(history, "CHO-5")[0]


def test_a_payment_that_came_first_and_was_forgotten_is_cho_5():
    play = Play()
    play.send("PaymentCaptured", "ord-1", "OrderPlaced-ord-1")
    play.commit("shipping", "payments", 0)
    play.reserve("ord-1")
    history = play.end()
    assert verdicts(history) == {"CHO-5": FAIL}
    assert "OrderShipped was never announced" in claims(history, "CHO-5")[0]


def test_what_comes_early_and_is_remembered_is_fine():
    play = Play()
    captured = play.send("PaymentCaptured", "ord-1", "OrderPlaced-ord-1")
    play.commit("shipping", "payments", 0)
    reserved = play.reserve("ord-1")
    play.row("deliveries", "ord-1")
    play.write("OrderShipped", "ord-1", reserved)
    assert captured
    assert verdicts(play.end()) == {}


def test_a_leaked_reservation_is_cho_6():
    play = steady()
    play.reserve("ord-4")
    play.fail("ord-4")
    history = play.end()
    assert verdicts(history) == {"CHO-6": FAIL}
    assert "never reached its end after OrderFailed: StockReleased" in claims(history, "CHO-6")[0]


def test_a_step_that_may_still_come_is_inconclusive():
    play = steady()
    play.reserve("ord-4")
    play.fail("ord-4")
    found = verdicts(play.end(quiet=False))
    assert found == {"CHO-6": INCONCLUSIVE, "LIV-1": FAIL}


def test_a_change_that_was_never_announced_is_cho_6():
    play = steady()
    play.reserve("ord-4")
    play.fail("ord-4")
    play.row("releases", "ord-4")
    cancel_unannounced(play, "ord-5")
    history = play.end()
    assert verdicts(history) == {"CHO-6": FAIL}
    (first, second, third) = claims(history, "CHO-6")
    assert "StockReleased is missing" in first
    assert "StockReserved or StockRejected is missing" in second
    assert "releases has a row for ord-5 that was never announced" in third


def cancel_unannounced(play: Play, order: str) -> None:
    """The goods of a cancelled order were reserved and put back, and stock told nobody."""
    play.send("OrderPlaced", order)
    play.row("reservations", order)
    play.write("OrderFailed", order, play.send("OrderCancelled", order))
    play.row("releases", order)


def test_an_order_that_nobody_answers_is_owed_a_reservation_step():
    play = steady()
    play.send("OrderPlaced", "ord-4")
    history = play.end()
    assert verdicts(history) == {"CHO-6": FAIL, "EFF-1": FAIL}
    assert [str(owed) for owed in Choreography(history).owed] == [
        "StockReserved or StockRejected of ord-4"
    ]


def test_a_cancelled_order_that_was_shipped_before_owes_nothing():
    play = steady()
    play.send("OrderCancelled", "ord-1")
    assert verdicts(play.end()) == {}


def test_an_order_rejected_because_it_had_failed_owes_nothing():
    play = Play()
    declined = play.send("PaymentDeclined", "ord-1", "OrderPlaced-ord-1")
    play.write("OrderFailed", "ord-1", declined)
    placed = play.send("OrderPlaced", "ord-1")
    play.write("StockRejected", "ord-1", placed)
    assert verdicts(without_expectation(play.end(), "ord-1")) == {}


def test_an_order_rejected_without_a_reason_is_eff_1_which_shows_the_rejection():
    play = Play()
    placed = play.send("OrderPlaced", "ord-1")
    play.write("OrderFailed", "ord-1", play.write("StockRejected", "ord-1", placed))
    history = play.end()
    (lost,) = findings(history, "EFF-1")
    rejected = next(o.n for o in history.of(Output) if o.value["type"] == "StockRejected")
    assert f"announced StockRejected instead (#{rejected})" in lost.why
    assert rejected in lost.rows


def test_a_second_row_is_eff_2():
    play = steady()
    play.row("releases", "ord-2")
    assert verdicts(play.end()) == {"EFF-2": FAIL}


def test_a_history_without_a_contract_says_nothing():
    began = replace(steady().end().began, choreography={})
    history = History([began, *list(steady().end())[1:]])
    assert not Choreography(history).all
    assert not check(history, [id for id in CHECKED if id.startswith("CHO")])
