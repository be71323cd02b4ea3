import pytest

from sandbox.gateway.records import batches, data_ranges
from tests.sandbox.gateway.batch import batch as make_batch


def batch(first: int, records: int, control: bool = False) -> bytes:
    return make_batch(records, first, control)


def ranges(*parts: bytes, start: int = 0) -> list[tuple[int, int]]:
    return data_ranges(memoryview(b"".join(parts)), start)


def test_batches_are_read_in_turn() -> None:
    read = list(batches(memoryview(batch(5, 3) + batch(8, 1, control=True))))
    assert [each[:4] for each in read] == [(5, 7, 3, False), (8, 8, 1, True)]
    assert {each[4:] for each in read} == {(False, -1, -1, -1)}


def test_neighbours_are_one_range_and_control_batches_part_them() -> None:
    log = (batch(0, 3), batch(3, 2), batch(5, 1, control=True), batch(6, 4))
    assert ranges(*log) == [(0, 4), (6, 9)]


def test_offsets_before_the_position_were_not_handed_over() -> None:
    assert ranges(batch(0, 10), batch(10, 5), start=4) == [(4, 14)]
    assert ranges(batch(0, 10), start=10) == []


def test_holes_of_a_compacted_topic_stay_holes() -> None:
    assert ranges(batch(0, 2), batch(9, 1)) == [(0, 1), (9, 9)]


def test_a_last_batch_cut_short_does_not_count() -> None:
    assert ranges(batch(0, 2), batch(2, 3)[:-1]) == [(0, 1)]
    assert ranges(batch(0, 2), batch(2, 3)[:20]) == [(0, 1)]


@pytest.mark.parametrize("length", [-1, 0, 48, 2**31 - 1])
def test_a_nonsense_length_ends_the_reading(length: int) -> None:
    nonsense = bytearray(batch(2, 3))
    nonsense[8:12] = length.to_bytes(4, signed=True)
    assert ranges(batch(0, 2), bytes(nonsense)) == [(0, 1)]


def test_no_records() -> None:
    assert data_ranges(None, 0) == []
    assert ranges() == []
