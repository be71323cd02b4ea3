"""The pure half of the challenge: what its changes look like, and in which order they are sent."""

import random

from challenges.ordered_updates.scenarios import (
    change,
    changes,
    expected,
    mixed,
    mixed_items,
    sentinel,
    some_items,
)


def test_changes_count_the_versions_of_their_item() -> None:
    events = changes(random.Random(1), "item-1", range(1, 5))
    assert [event.value["version"] for event in events] == [1, 2, 3, 4]
    assert all((event.key, event.value["id"]) == ("item-1", event.id) for event in events)
    assert len({event.id for event in events}) == 4


def test_a_change_is_a_row_and_a_record_with_the_same_values() -> None:
    event = change(random.Random(1), "item-1", 3)
    content = {"item": "item-1", "version": 3, "stock": event.value["stock"]}
    assert expected(event.value) == {"applied": content, "updates": content}


def test_mixing_keeps_each_items_order_and_loses_nothing() -> None:
    rng = random.Random(1)
    rows = [changes(rng, item, range(1, 8)) for item in some_items(rng, 5)]
    events = mixed(rng, rows)
    assert len(events) == 35
    for row in rows:
        assert [event for event in events if event.key == row[0].key] == row


def test_the_same_seed_gives_the_same_changes() -> None:
    one, two, other = (mixed_items(random.Random(n), ["a", "b"], range(1, 4)) for n in (7, 7, 8))
    assert one == two != other


def test_sentinels_are_first_changes_of_new_items() -> None:
    rng = random.Random(1)
    events = [sentinel(rng) for _ in range(50)]
    assert {event.value["version"] for event in events} == {1}
    assert len({event.key for event in events}) == 50
