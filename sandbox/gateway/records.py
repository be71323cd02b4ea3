"""Record batches as they lie in Produce requests and Fetch responses: headers only.

The layout is the one of message format v2, the only one a 4.x broker stores. Batches stay
compressed, so a hostile batch that would unpack to gigabytes costs nothing here.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

# base offset, length, (leader epoch), magic, (crc), attributes, last offset delta, (timestamps),
# producer id and epoch, base sequence, record count
_HEADER = struct.Struct(">qi4xb4xhi16xqhii")
_LENGTH_COUNTS_FROM = 12  # what precedes a batch's length, the length included
_TRANSACTIONAL, _CONTROL = 0x10, 0x20


class Batch(NamedTuple):
    """producer_id, epoch, sequence: of an idempotent producer; -1 of any other."""

    first: int
    last: int
    records: int
    is_control: bool
    is_transactional: bool
    producer_id: int
    epoch: int
    sequence: int


def batches(records: memoryview | None) -> Iterator[Batch]:
    """Yield the whole batches of a `records` field.

    A broker may cut the last batch short, and clients then ignore it: so does this.
    """
    at = 0
    while records is not None and len(records) - at >= _HEADER.size:
        base, length, _magic, attributes, last_delta, *producer, count = _HEADER.unpack_from(
            records, at
        )
        at += _LENGTH_COUNTS_FROM + length
        if length < _HEADER.size - _LENGTH_COUNTS_FROM or at > len(records):
            return
        kind = bool(attributes & _CONTROL), bool(attributes & _TRANSACTIONAL)
        yield Batch(base, base + last_delta, count, *kind, *producer)


def data_ranges(records: memoryview | None, start: int) -> list[tuple[int, int]]:
    """Return the offsets of data in `records` as inclusive ranges.

    Offsets below `start`, the position the client asked for, are left out: a batch is sent whole
    and clients skip that part. So are control batches, which no program ever sees.
    """
    ranges: list[tuple[int, int]] = []
    for batch in batches(records):
        if batch.is_control or batch.last < start:
            continue
        first = max(batch.first, start)
        if ranges and ranges[-1][1] + 1 == first:
            ranges[-1] = (ranges[-1][0], batch.last)
        else:
            ranges.append((first, batch.last))
    return ranges
