"""What is inside a program's batches: refused when it could hurt a reader."""

import gzip
import struct

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gateway.contents import header_names, unfit

MOST = 10_000
NAMELESS = b"\xff\xfe"


def varint(number: int) -> bytes:
    zigzag, out = number << 1 ^ number >> 63, bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*out, zigzag])


def sized(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def record(
    key: bytes | None = None, value: bytes | None = b"v", *headers: tuple[bytes, bytes | None]
) -> bytes:
    told = b"".join(sized(name) + sized(content) for name, content in headers)
    parts = b"\0" + varint(-1) + varint(300) + sized(key) + sized(value)
    body = parts + varint(len(headers)) + told
    return varint(len(body)) + body


def batch(content: bytes, codec: int = 0) -> bytes:
    rest = struct.pack(">ibIhiqqqhii", 0, 2, 0, codec, 0, 0, 0, -1, -1, -1, 1) + content
    return struct.pack(">qi", 0, len(rest)) + rest


def xerial(content: bytes) -> bytes:
    half = len(content) // 2
    packed = [bytes(cramjam.snappy.compress_raw(c)) for c in (content[:half], content[half:])]
    framed = b"".join(struct.pack(">I", len(block)) + block for block in packed)
    return b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + framed


PACKERS = {
    "plain": (0, bytes),
    "gzip": (1, gzip.compress),
    "snappy": (2, lambda content: bytes(cramjam.snappy.compress_raw(content))),
    "snappy of Java": (2, xerial),
    "lz4": (3, lambda content: bytes(cramjam.lz4.compress(content))),
    "zstd": (4, lambda content: bytes(cramjam.zstd.compress(content))),
}
packed = pytest.mark.parametrize(("codec", "pack"), PACKERS.values(), ids=PACKERS)


def error(*batches: bytes, most: int = MOST) -> str | None:
    partition = {"Records": memoryview(b"".join(batches))}
    found = unfit({"TopicData": [{"PartitionData": [{"Records": None}, partition]}]}, most)
    return found.error if found else None


@packed
def test_headers_are_read_whatever_the_codec(codec: int, pack) -> None:
    fine = record(None, None, (b"a", b"\xff"), ("ü".encode(), None), (b"", b"")) + record(b"k" * 99)
    assert error(batch(pack(fine), codec)) is None
    assert error(batch(pack(fine), codec), batch(pack(fine), codec)) is None
    bad = fine + record(b"k", b"v", (b"a", b""), (NAMELESS, b""))
    assert error(batch(pack(bad), codec)) == "INVALID_RECORD"
    assert error(batch(pack(fine), codec), batch(pack(bad), codec)) == "INVALID_RECORD"


@packed
def test_what_unpacks_to_too_much_is_refused(codec: int, pack) -> None:
    large = record(b"k", bytes(MOST))
    assert error(batch(pack(large), codec)) == "RECORD_LIST_TOO_LARGE"
    assert error(batch(pack(large), codec), most=2 * MOST) is None
    small = record(b"k", bytes(MOST // 2))
    assert error(batch(pack(small), codec)) is None
    assert error(batch(pack(small), codec), batch(pack(small), codec)) == "RECORD_LIST_TOO_LARGE"


def test_a_bomb_is_not_unpacked() -> None:
    bomb = bytes(cramjam.zstd.compress(bytes(1 << 30)))
    assert len(bomb) < 1 << 20
    assert error(batch(bomb, 4)) == "RECORD_LIST_TOO_LARGE"


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_what_cannot_be_unpacked_is_refused(codec: int) -> None:
    assert error(batch(b"nonsense, whatever the codec", codec)) == "RECORD_LIST_TOO_LARGE"


@pytest.mark.parametrize(
    "content",
    [
        record()[:-1],
        record() + b"\x02",
        b"\xff" * 12,
        varint(7) + b"\0\0\0\1\1" + varint(-1) + b"\0",
        varint(9) + b"\0\0\0\1\1" + varint(1) + varint(-1) + b"\0\0",
        varint(16) + b"\0\0\0\1\1" + varint(2**62) + b"\0" * 2,
        varint(-5),
        varint(2**40),
    ],
)
def test_what_are_no_records_is_refused(content: bytes) -> None:
    assert error(batch(content)) == "INVALID_RECORD"


@given(
    st.lists(
        st.tuples(
            st.none() | st.binary(max_size=200),
            st.none() | st.binary(max_size=200),
            st.lists(st.tuples(st.binary(max_size=5), st.none() | st.binary(max_size=5))),
        ),
        max_size=5,
    )
)
def test_the_names_of_all_headers_are_found(records: list) -> None:
    content = b"".join(record(key, value, *headers) for key, value, headers in records)
    assert list(header_names(content)) == [name for *_, hs in records for name, _ in hs]


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(content: bytes) -> None:
    assert error(batch(content)) in (None, "INVALID_RECORD")
