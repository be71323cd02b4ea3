"""The pure half of the challenge: what its commands look like, and what the bookings must be."""

import random

from challenges.catalogue import load
from challenges.transactional_outbox.office import published
from challenges.transactional_outbox.scenarios import (
    command,
    commands,
    expected,
    sentinel,
    some_bookings,
    tally,
)
from graders.facts import Effect, Output
from graders.history import History


def effect(booking: str, version: int, seats: int) -> Effect:
    content = {"id": 1, "booking": booking, "version": version, "seats": seats}
    return Effect(
        n=1,
        t=0,
        table="outbox",
        row=1,
        id="cmd",
        content=content,
        instance="",
        txid="",
        committed_t=0,
    )


def test_commands_have_ids_of_their_own_and_the_booking_as_key() -> None:
    rng = random.Random(1)
    events = commands(rng, some_bookings(rng, 200))
    assert len({event.id for event in events}) == 200
    assert all(
        (event.key, event.id) == (e["booking"], e["id"]) for event in events for e in [event.value]
    )


def test_a_command_is_one_row_of_any_version() -> None:
    event = command(random.Random(1), "bkg-1", seats=4)
    assert expected(event.value) == {"outbox": {"booking": "bkg-1", "seats": 4}}


def test_the_same_seed_gives_the_same_commands() -> None:
    one, two, other = (commands(random.Random(n), ["bkg-1", "bkg-2"]) for n in (7, 7, 8))
    assert one == two != other


def test_a_booking_is_what_its_last_row_says() -> None:
    rows = [effect("bkg-1", 1, 4), effect("bkg-2", 1, 5), effect("bkg-1", 2, 0)]
    assert tally(rows)["bookings"] == [
        {"booking": "bkg-1", "version": 2, "seats": 0},
        {"booking": "bkg-2", "version": 1, "seats": 5},
    ]


def test_a_version_that_was_skipped_is_not_made_good_by_the_last_one() -> None:
    rows = [effect("bkg-1", 1, 4), effect("bkg-1", 3, 7)]
    assert tally(rows)["bookings"] == [{"booking": "bkg-1", "version": 2, "seats": 7}]


def test_sentinels_are_about_new_bookings() -> None:
    rng = random.Random(1)
    assert len({sentinel(rng).key for _ in range(50)}) == 50


def test_a_version_is_published_when_a_record_names_it_whatever_else_there_is() -> None:
    def output(value: object) -> Output:
        return Output(
            n=1, t=0, topic="events", partition=0, offset=0, key="", value=value, instance=None
        )

    holds = published("bkg-1", 2).holds
    assert holds(History([output({"booking": "bkg-1", "version": 2, "seats": 1})]))
    assert not holds(History([output({"booking": "bkg-1", "version": 1}), output(None)]))


def test_every_check_has_questions_in_the_rubric() -> None:
    challenge = load("transactional_outbox")
    assert {use.id for use in challenge.checks} <= challenge.questions.keys()
