"""Record batches as they lie in Produce requests and Fetch responses: headers only.

The layout is the one of message format v2, the only one a 4.x broker stores. Batches stay
compressed here; see `contents` for what is inside those that a program writes.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

# base offset, length, (leader epoch), magic, (crc), attributes, last offset delta, (timestamps),
# producer id and epoch, base sequence, record count
_HEADER = struct.Struct(">qi4xb4xhi16xqhii")
_LENGTH = struct.Struct(">8xi")
HEADER_BYTES = _HEADER.size
_LENGTH_COUNTS_FROM = 12  # what precedes a batch's length, the length included
_CODEC, _TRANSACTIONAL, _CONTROL = 0x07, 0x10, 0x20


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
    """Yield what the headers of the whole batches of a `records` field say."""
    for batch in whole_batches(records):
        base, _length, _magic, attributes, last_delta, *producer, count = _HEADER.unpack_from(batch)
        kind = bool(attributes & _CONTROL), bool(attributes & _TRANSACTIONAL)
        yield Batch(base, base + last_delta, count, *kind, *producer)


def whole_batches(records: memoryview | None) -> Iterator[memoryview]:
    """Yield the whole batches of a `records` field, each with its header.

    A broker may cut the last batch short, and clients then ignore it: so does this.
    """
    at = 0
    while records is not None and len(records) - at >= HEADER_BYTES:
        (length,) = _LENGTH.unpack_from(records, at)
        end = at + _LENGTH_COUNTS_FROM + length
        if end - at < HEADER_BYTES or end > len(records):
            return
        yield records[at:end]
        at = end


def codec_of(batch: memoryview) -> int:
    """The number of the codec by which a batch's records are compressed; 0 for none."""
    attributes: int = _HEADER.unpack_from(batch)[3]
    return attributes & _CODEC


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
