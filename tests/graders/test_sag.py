"""Family SAG: histories that each check must flag, and the nearest that it must not."""

import pytest

from graders.evidence import card
from graders.verdict import conclude, judge, wants_another
from graders.verdicts import Verdict
from tests.graders.histories import findings, verdicts
from tests.graders.sagas import MOVES, SagaTale

FAIL = Verdict.FAIL


def begun(*done: str, refused: str = "") -> SagaTale:
    """A tale of one order whose first steps went so."""
    tale = SagaTale()
    tale.order("ord-1")
    for action in done:
        tale.step("ord-1", action)
    if refused:
        tale.step("ord-1", refused, "refused")
    return tale


def found(tale: SagaTale, **fields) -> dict[str, Verdict]:
    """The checks of the family that speak up about a finished tale."""
    checks = verdicts(tale.end(**fields))
    return {id: verdict for id, verdict in checks.items() if id.startswith("SAG")}


def test_a_completed_order_is_silent():
    tale = SagaTale()
    tale.complete("ord-1")
    assert verdicts(tale.end()) == {}


@pytest.mark.parametrize(
    ("done", "refused", "undone"),
    [
        ((), "reserve", ()),
        (("reserve",), "charge", ("release",)),
        (("reserve", "charge"), "ship", ("refund", "release")),
    ],
)
def test_a_cancelled_order_is_silent(done, refused, undone):
    tale = begun(*done, refused=refused)
    for action in undone:
        tale.step("ord-1", action)
    tale.outcome("ord-1", "cancelled")
    assert verdicts(tale.end()) == {}


# SAG-1


def test_two_outcomes_that_differ():
    tale = begun(*MOVES)
    tale.outcome("ord-1", "completed")
    tale.outcome("ord-1", "cancelled")
    assert found(tale)["SAG-1"] == FAIL


@pytest.mark.parametrize(("rests", "checks"), [(True, {"SAG-1": FAIL}), (False, {})])
def test_an_outcome_told_twice_for_no_reason(rests, checks):
    tale = begun(*MOVES)
    tale.outcome("ord-1", "completed")
    if rests:
        tale.settle()
    tale.outcome("ord-1", "completed")
    assert found(tale) == checks


@pytest.mark.parametrize(
    ("by", "later", "joins", "checks"),
    [
        ("another", 0.1, False, {"SAG-1": FAIL}),
        ("another", 2.0, False, {}),  # who waits so long may have a lease
        ("another", 0.1, True, {}),
        ("app", 0.1, False, {}),  # it may not have heard of the first
    ],
)
def test_an_outcome_told_by_two_instances_at_once(by, later, joins, checks):
    tale = begun(*MOVES)
    tale.outcome("ord-1", "completed")
    if joins:
        its = {"group": "g", "member": "m-2", "generation": 2, "protocol": "classic"}
        tale.append("joined", instance="another", **its)
    tale.outcome("ord-1", "completed", by, later)
    assert found(tale) == checks


@pytest.mark.parametrize("when", ["before", "between"])
def test_an_outcome_told_twice_by_a_program_that_was_killed(when):
    tale = begun(*MOVES)
    if when == "before":
        tale.process("app", "killed")
    tale.outcome("ord-1", "completed")
    tale.process("app", "killed")
    tale.settle()
    tale.outcome("ord-1", "completed")
    assert found(tale) == {}


def test_an_outcome_told_again_long_after_it_was_noted():
    tale = begun(*MOVES)
    tale.outcome("ord-1", "completed")
    tale.settle()
    tale.process("app", "terminated")
    tale.outcome("ord-1", "completed")
    assert found(tale) == {"SAG-1": FAIL}


def test_completed_before_the_last_step():
    tale = begun("reserve", "charge", "ship")
    tale.command("ord-1", "deduct")
    tale.outcome("ord-1", "completed")
    tale.deed("ord-1", "deduct")
    assert found(tale) == {"SAG-1": FAIL}


def test_cancelled_before_the_undo():
    tale = begun("reserve", refused="charge")
    tale.command("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    tale.deed("ord-1", "release")
    assert found(tale) == {"SAG-1": FAIL}


def test_an_outcome_that_is_none():
    tale = begun(*MOVES)
    tale.outcome("ord-1", "COMPLETED")
    assert found(tale)["SAG-1"] == FAIL


# SAG-2 and SAG-6


def test_a_step_that_was_never_undone():
    tale = begun("reserve", "charge", refused="ship")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == {"SAG-2": FAIL}


def test_completed_without_a_step():
    tale = begun("reserve", "charge", "ship")
    tale.outcome("ord-1", "completed")
    assert found(tale) == {"SAG-2": FAIL}


def test_cancelled_at_once():
    tale = SagaTale()
    tale.order("ord-1")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == {"SAG-2": FAIL}


@pytest.mark.parametrize(("seconds", "checks"), [(0.0, {"SAG-2": FAIL}), (2.1, {})])
def test_cancelled_before_its_first_command_arrived(seconds, checks):
    tale = SagaTale()
    tale.order("ord-1")
    tale.wait(seconds)
    tale.step("ord-1", "release", "ignored")
    tale.step("ord-1", "reserve", "refused")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == checks


def test_cancelled_because_the_step_before_took_long():
    tale = begun()
    tale.command("ord-1", "reserve")
    tale.deed("ord-1", "reserve")
    tale.wait(1.5)
    reply = tale.reply("ord-1", "reserve")
    place = {"topic": reply.topic, "partition": reply.partition}
    tale.append("fetched", instance="app", **place, first=reply.offset, last=reply.offset)
    tale.command("ord-1", "charge")
    tale.wait(0.6)
    tale.step("ord-1", "refund", "ignored")
    tale.deed("ord-1", "charge", "refused")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    assert found(tale).keys() == {"SAG-2"}


@pytest.mark.parametrize(("seconds", "checks"), [(1.0, {"SAG-2"}), (2.1, set())])
def test_cancelled_when_the_reply_was_overdue(seconds, checks):
    tale = begun("reserve")
    tale.command("ord-1", "charge")
    tale.wait(seconds)
    tale.command("ord-1", "refund")
    tale.deed("ord-1", "refund", "ignored")
    tale.reply("ord-1", "refund")
    tale.deed("ord-1", "charge", "refused")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    assert found(tale).keys() == checks


def test_a_refund_that_happened_twice():
    tale = begun("reserve", "charge", refused="ship")
    tale.step("ord-1", "refund")
    tale.step("ord-1", "refund", id="other")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == {"SAG-2": FAIL, "SAG-7": FAIL}


def test_sums_that_do_not_add_up():
    tale = begun("reserve")
    tale.command("ord-1", "charge")
    tale.append(
        "performed",
        participant="payment",
        action="charge",
        id="ord-1/charge",
        subject="ord-1",
        outcome="done",
        content={"customer": "cus-1", "amount": 101},
    )
    tale.reply("ord-1", "charge")
    tale.step("ord-1", "ship")
    tale.step("ord-1", "deduct")
    tale.outcome("ord-1", "completed")
    history = tale.end()
    assert "books of payment are out" in findings(history, "SAG-2")[0].claim


def late_charge() -> SagaTale:
    tale = begun("reserve")
    tale.command("ord-1", "charge")
    tale.wait(2.5)
    return tale


def test_a_late_success_that_nobody_undid():
    tale = late_charge()
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    tale.deed("ord-1", "charge")
    tale.reply("ord-1", "charge")
    assert found(tale) == {"SAG-6": FAIL}


def test_a_success_whose_reply_was_late_and_that_nobody_undid():
    tale = begun("reserve")
    tale.command("ord-1", "charge")
    tale.deed("ord-1", "charge")
    tale.wait(2.5)
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    tale.reply("ord-1", "charge")
    assert found(tale) == {"SAG-6": FAIL}


def test_a_late_success_that_was_barred():
    tale = late_charge()
    tale.command("ord-1", "refund")
    tale.deed("ord-1", "refund", "ignored")
    tale.reply("ord-1", "refund")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    tale.deed("ord-1", "charge", "refused")
    assert found(tale) == {}


def test_a_late_success_that_was_asked_for_again():
    tale = late_charge()
    tale.command("ord-1", "charge")
    tale.deed("ord-1", "charge")
    tale.deed("ord-1", "charge", "repeated")
    tale.reply("ord-1", "charge")
    tale.reply("ord-1", "charge")
    tale.step("ord-1", "ship")
    tale.step("ord-1", "deduct")
    tale.outcome("ord-1", "completed")
    assert found(tale) == {}


# SAG-3 and SAG-4


def test_the_undo_of_what_was_never_begun():
    tale = begun(refused="reserve")
    tale.step("ord-1", "refund", "ignored")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == {"SAG-3": FAIL}


def test_the_undo_of_a_command_that_a_crash_may_have_swallowed():
    tale = begun("reserve")
    tale.process("app", "killed")
    tale.process("app", "started")
    tale.wait(2.5)
    tale.step("ord-1", "refund", "ignored")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == {}


def test_the_undo_of_another_step():
    tale = begun("reserve", "charge", refused="ship")
    tale.command("ord-1", "refund", undoes="ord-1/reserve")
    tale.deed("ord-1", "refund", "ignored")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == {"SAG-2": FAIL, "SAG-3": FAIL}


def test_steps_undone_in_the_wrong_order():
    tale = begun("reserve", "charge", refused="ship")
    tale.step("ord-1", "release")
    tale.step("ord-1", "refund")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == {"SAG-4": FAIL}


def test_a_release_before_the_refund_that_bars_the_charge():
    tale = begun("reserve")
    tale.command("ord-1", "charge")
    tale.wait(2.5)
    tale.command("ord-1", "refund")
    tale.step("ord-1", "release")
    tale.deed("ord-1", "refund", "ignored")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == {"SAG-4": FAIL}


def test_a_refund_that_bars_the_charge_before_the_release():
    tale = begun("reserve")
    tale.command("ord-1", "charge")
    tale.wait(2.5)
    tale.step("ord-1", "refund", "ignored")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == {}


# SAG-5


def test_a_step_ahead_of_its_time():
    tale = SagaTale()
    tale.order("ord-1")
    tale.command("ord-1", "reserve")
    tale.command("ord-1", "charge")
    tale.deed("ord-1", "reserve")
    tale.reply("ord-1", "reserve")
    tale.deed("ord-1", "charge")
    tale.reply("ord-1", "charge")
    tale.step("ord-1", "ship")
    tale.step("ord-1", "deduct")
    tale.outcome("ord-1", "completed")
    assert found(tale) == {"SAG-5": FAIL}


def test_a_step_begun_after_turning_back():
    tale = begun("reserve", "charge")
    tale.wait(2.5)
    tale.step("ord-1", "refund")
    tale.step("ord-1", "ship")
    tale.step("ord-1", "deduct")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    assert "SAG-5" in found(tale)


def test_a_revived_instance_repeats_an_old_command():
    tale = late_charge()
    tale.process("app", "frozen")
    tale.command("ord-1", "refund")
    tale.deed("ord-1", "refund", "ignored")
    tale.reply("ord-1", "refund")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    tale.process("app", "thawed")
    tale.command("ord-1", "charge")
    tale.deed("ord-1", "charge", "refused")
    assert found(tale) == {}


# SAG-7 and SAG-10


def test_two_ids_for_one_action():
    tale = begun("reserve")
    tale.command("ord-1", "charge", "first")
    tale.wait(2.5)
    tale.step("ord-1", "charge", id="second")
    tale.step("ord-1", "ship")
    tale.step("ord-1", "deduct")
    tale.outcome("ord-1", "completed")
    assert found(tale) == {"SAG-7": FAIL}


def test_one_id_for_two_commands():
    tale = SagaTale()
    tale.order("ord-1")
    tale.step("ord-1", "reserve", id="same")
    tale.step("ord-1", "charge", id="same")
    tale.step("ord-1", "ship")
    tale.step("ord-1", "deduct")
    tale.outcome("ord-1", "completed")
    assert found(tale) == {"SAG-7": FAIL}


def test_a_command_with_fields_of_the_programs_own():
    tale = begun("reserve")
    tale.command("ord-1", "charge", attempt=1)
    tale.command("ord-1", "charge", attempt=2)
    tale.deed("ord-1", "charge")
    tale.reply("ord-1", "charge")
    tale.step("ord-1", "ship")
    tale.step("ord-1", "deduct")
    tale.outcome("ord-1", "completed")
    assert found(tale) == {}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"id": "c", "order": "ord-1"},
        {"action": "charge"},
        {"id": "c", "order": "ord-1", "action": "charge", "customer": "cus-1"},
        {
            "id": "ord-1/charge",
            "order": "ord-1",
            "action": "charge",
            "customer": "cus-1",
            "amount": "100",
        },
    ],
)
def test_a_command_that_nobody_can_read(value):
    tale = begun("reserve", "charge", "ship", "deduct")
    tale.append(
        "output",
        topic="stock-commands",
        partition=0,
        offset=9,
        key="ord-1",
        value=value,
        instance="app",
    )
    tale.outcome("ord-1", "completed")
    assert found(tale) == {"SAG-7": FAIL}


def test_a_second_saga_for_an_order_that_came_again():
    tale = begun("reserve")
    tale.order("ord-1")
    tale.step("ord-1", "reserve", id="other")
    for action in ("charge", "ship", "deduct"):
        tale.step("ord-1", action)
    tale.outcome("ord-1", "completed")
    assert found(tale) == {"SAG-2": FAIL, "SAG-10": FAIL}


def test_an_outcome_told_again_for_an_order_that_came_again():
    tale = SagaTale()
    tale.complete("ord-1")
    tale.settle()
    tale.order("ord-1")
    tale.outcome("ord-1", "completed")
    assert found(tale) == {"SAG-10": FAIL}


def test_an_order_that_came_again_and_changed_nothing():
    tale = SagaTale()
    tale.complete("ord-1")
    tale.order("ord-1")
    assert found(tale) == {}


# SAG-8


@pytest.mark.parametrize("done", [True, False])
def test_turned_back_at_the_pivot(done):
    tale = begun("reserve", "charge")
    tale.command("ord-1", "ship")
    tale.wait(2.5)
    tale.step("ord-1", "refund")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    if done:
        tale.deed("ord-1", "ship")
    assert found(tale) == {"SAG-8": FAIL}


def test_turned_back_after_the_pivot():
    tale = begun("reserve", "charge", "ship")
    tale.command("ord-1", "deduct")
    tale.wait(2.5)
    tale.step("ord-1", "refund")
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    assert found(tale) == {"SAG-8": FAIL}


# SAG-9, SAG-11 and SAG-12


def test_a_saga_that_a_crash_left_behind():
    tale = begun("reserve")
    tale.process("app", "killed")
    tale.process("app", "started")
    tale.complete("ord-2")
    assert found(tale) == {"SAG-9": FAIL}


@pytest.mark.parametrize("is_committed", [True, False])
def test_the_commit_that_let_go_of_an_order_is_shown(is_committed):
    tale = SagaTale()
    order = tale.order("ord-1")
    if is_committed:
        where = {"topic": order.topic, "partition": 0, "offset": order.offset + 1}
        how = {"group": "orders-service", "outcome": "accepted", "api": "OffsetCommit"}
        commit = tale.append("commit", instance="app", **how, **where)
    end = tale.process("app", "killed")
    tale.process("app", "started")
    tale.complete("ord-2")
    (finding,) = findings(tale.end(), "SAG-9")
    assert finding.first.n == (commit if is_committed else end).n


def test_a_saga_that_waits_for_ever():
    tale = begun("reserve")
    tale.command("ord-1", "charge")
    tale.deed("ord-1", "charge")
    tale.complete("ord-2")
    assert found(tale) == {"SAG-12": FAIL}


def test_a_saga_that_only_a_restart_brought_to_its_end():
    tale = begun("reserve", "charge", "ship")
    tale.settle()
    tale.process("app", "terminated")
    tale.process("app", "started")
    tale.step("ord-1", "deduct")
    tale.outcome("ord-1", "completed")
    assert found(tale) == {"SAG-12": FAIL}


def test_a_run_that_was_not_at_rest_says_nothing_of_sagas_under_way():
    tale = begun("reserve")
    assert found(tale, quiet=False, unmet=["replies-0: 1 record(s) not committed"]) == {}


def test_a_command_with_another_orders_values():
    tale = SagaTale()
    tale.order("ord-0", amount=999)
    tale.order("ord-1")
    tale.command("ord-1", "reserve")
    tale.deed("ord-1", "reserve")
    tale.reply("ord-1", "reserve")
    tale.command("ord-1", "charge", amount=999)
    assert "SAG-11" in found(tale)


def test_a_command_for_no_order():
    tale = SagaTale()
    tale.complete("ord-1")
    tale.command("ord-9", "release")
    assert found(tale) == {"SAG-11": FAIL}


def test_an_undo_of_another_orders_command():
    tale = begun("reserve", "charge", refused="ship")
    tale.complete("ord-2")
    tale.command("ord-1", "refund", undoes="ord-2/charge")
    assert "SAG-11" in found(tale)


# Evidence


def test_the_card_of_a_saga_has_its_sequence_diagram():
    tale = begun("reserve")
    tale.command("ord-1", "charge")
    tale.process("app", "killed")
    tale.process("app", "started")
    tale.wait(2.5)
    tale.step("ord-1", "release")
    tale.outcome("ord-1", "cancelled")
    tale.deed("ord-1", "charge")
    history = tale.end()
    (finding,) = findings(history, "SAG-6")
    shown = card(finding, history, "A tale")
    assert shown["picture"].startswith('<svg class="picture sequence"')
    for word in ("orders", "app", "stock", "payment", "outcomes", "killed", "charge done"):
        assert f">{word}</text>" in shown["picture"]
    assert {row["n"] for row in shown["rows"]} >= {finding.first.n, finding.second.n}


def test_names_in_a_picture_are_escaped():
    tale = SagaTale()
    tale.order("<b>")
    tale.step("<b>", "reserve", "refused")
    tale.command("<b>", "charge", id="<script>")
    history = tale.end()
    pictures = [card(f, history, "")["picture"] for f in findings(history, "SAG-5")]
    assert pictures
    assert all("<b>" not in p and "<script" not in p for p in pictures)


# Verdicts


def never_ended():
    tale = begun("reserve")
    return judge(tale.end(), ["SAG-1", "SAG-12"])


def all_well():
    tale = SagaTale()
    tale.complete("ord-1")
    return judge(tale.end(), ["SAG-1", "SAG-12"])


@pytest.mark.parametrize(
    ("attempts", "again", "verdict"),
    [
        ([never_ended], True, Verdict.INCONCLUSIVE),
        ([never_ended, all_well], True, Verdict.WARN),
        ([never_ended, all_well, all_well], False, Verdict.WARN),
        ([never_ended, never_ended], False, FAIL),
    ],
)
def test_a_saga_that_never_ended_must_do_so_twice(attempts, again, verdict):
    played = [make() for make in attempts]
    assert wants_another(played) == again
    assert conclude("a_tale", played, ["SAG-1", "SAG-12"]).verdicts["SAG-12"] == verdict
