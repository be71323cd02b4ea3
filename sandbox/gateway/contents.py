"""What is inside the batches that a program writes, as far as it could hurt whoever reads them.

A broker takes batches as they are. But librdkafka's Python binding, with which the grader reads
them, leaves its interpreter broken after a header whose name is no UTF-8, and every reader unpacks
a compressed batch whole, however large it is then. So both are refused, as a broker with a stricter
validation would: INVALID_RECORD, RECORD_LIST_TOO_LARGE.
"""

import functools
import struct
import zlib
from collections.abc import Callable, Iterator

import cramjam

from sandbox.gateway.codec import Body
from sandbox.gateway.policy import Refusal
from sandbox.gateway.records import HEADER_BYTES, codec_of, whole_batches

_XERIAL = b"\x82SNAPPY\x00"  # how Java frames snappy; then two versions of 4 bytes, then blocks
_XERIAL_BYTES = 16


TOO_LARGE = "a batch that cannot be unpacked, or only into more than {} bytes"


def unfit(body: Body, most: int) -> Refusal | None:
    """Why nobody may read what a Produce request writes, None when all may: each partition's
    batches hold well-formed records, with UTF-8 in the names of their headers, and are at most
    `most` bytes when unpacked."""
    for topic in body["TopicData"]:
        for partition in topic["PartitionData"]:
            if found := _unfit(partition["Records"], most):
                return found
    return None


def _unfit(records: memoryview | None, most: int) -> Refusal | None:
    for batch in whole_batches(records):
        content = _unpacked(batch, most)
        if content is None:
            return Refusal("RECORD_LIST_TOO_LARGE", TOO_LARGE.format(most))
        most -= len(content)
        try:
            for name in header_names(content):
                name.decode()
        except UnicodeDecodeError:
            return Refusal("INVALID_RECORD", "a header whose name is no UTF-8")
        except (IndexError, ValueError):
            return Refusal("INVALID_RECORD", "a record that is not whole")
    return None


def header_names(content: bytes) -> Iterator[bytes]:
    """The names of all headers of a batch's records. IndexError or ValueError for what are no
    records of message format v2."""
    at = 0
    while at < len(content):
        length, at = _varint(content, at)
        end = at + length
        at += 1  # attributes
        for _ in ("timestamp", "offset"):
            _, at = _varint(content, at)
        for _ in ("key", "value"):
            length, at = _varint(content, at)
            at += max(length, 0)
        count, at = _varint(content, at)
        for _ in range(count):
            length, at = _varint(content, at)
            if length < 0:
                raise ValueError("a header without a name")
            yield content[at : at + length]
            value, at = _varint(content, at + length)
            at += max(value, 0)
        if at != end or end > len(content) or count < 0:
            raise ValueError("a record's parts do not add up to its length")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A signed number of variable length in zigzag code, and where the next field begins."""
    byte = content[at]
    at += 1
    if byte < 0x80:  # nearly all are
        return byte >> 1 ^ -(byte & 1), at
    number, shift = byte & 0x7F, 7
    while True:
        byte = content[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number >> 1 ^ -(number & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number without end")


def _unpacked(batch: memoryview, most: int) -> bytes | None:
    """The records of a batch, uncompressed; None when they cannot be had, or are more than `most`
    bytes. A codec that Kafka does not have is the broker's to refuse."""
    unpack = _UNPACKERS.get(codec_of(batch), _plain)
    try:
        content = unpack(batch[HEADER_BYTES:], most)
    except (zlib.error, struct.error, cramjam.DecompressionError, ValueError):
        return None
    return content if len(content) <= most else None


def _plain(packed: memoryview, most: int) -> bytes:
    return bytes(packed)


def _gzip(packed: memoryview, most: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    content = unpacker.decompress(packed, max(most, 1))
    if not unpacker.eof:
        raise ValueError("there is more")
    return content


def _snappy(packed: memoryview, most: int) -> bytes:
    if packed[: len(_XERIAL)] != _XERIAL:
        return _into(cramjam.snappy.decompress_raw_into, packed, most)
    blocks, at = [], _XERIAL_BYTES
    while at < len(packed):
        (size,) = struct.unpack_from(">I", packed, at)
        at += 4
        block = _into(cramjam.snappy.decompress_raw_into, packed[at : at + size], most)
        blocks.append(block)
        most -= len(block)
        at += size
    return b"".join(blocks)


def _into(unpack: Callable[[bytes, bytearray], int], packed: memoryview, most: int) -> bytes:
    """What a codec of cramjam unpacks into a room of a fixed size."""
    room = _room(max(most, 0))
    return bytes(room[: unpack(bytes(packed), room)])


@functools.lru_cache(maxsize=1)
def _room(size: int) -> bytearray:
    """A room to unpack in; nearly always the same one."""
    return bytearray(size)


_UNPACKERS: dict[int, Callable[[memoryview, int], bytes]] = {
    0: _plain,
    1: _gzip,
    2: _snappy,
    3: functools.partial(_into, cramjam.lz4.decompress_into),
    4: functools.partial(_into, cramjam.zstd.decompress_into),
}
