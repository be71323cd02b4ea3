import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gateway.frames import FrameParser, FrameTooLarge

LIMIT = 1_000_000


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4) + body


def feed(parser: FrameParser, data: bytes, chunk: int) -> list[bytes]:
    """Hand `data` over as a socket would, at most `chunk` bytes at a time."""
    frames, left = [], memoryview(data)
    while left:
        space = parser.space()
        count = min(len(left), len(space), chunk)
        space[:count] = left[:count]
        parser.received(count)
        left = left[count:]
        while (frame := parser.take()) is not None:
            frames.append(bytes(frame))
    return frames


sizes = st.lists(st.integers(0, 300) | st.sampled_from([65531, 65532, 65533, 200_000]), max_size=8)


@given(sizes, st.integers(1, 100_000))
def test_any_split_gives_the_same_frames(sizes: list[int], chunk: int) -> None:
    bodies = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    chunk = max(chunk, sum(sizes) // 500)  # byte by byte only where that is quick
    stream = b"".join(map(framed, bodies))
    parser = FrameParser(LIMIT)
    assert feed(parser, stream, chunk) == list(map(framed, bodies))
    assert parser.waiting == 0


def test_byte_by_byte() -> None:
    stream = framed(b"a") + framed(b"") + framed(b"long enough")
    assert feed(FrameParser(LIMIT), stream, 1) == [b"\0\0\0\1a", bytes(4), framed(b"long enough")]


@pytest.mark.parametrize("length", [-1, -(2**31), LIMIT + 1, 2**31 - 1])
def test_absurd_lengths_are_refused_when_the_length_is_read(length: int) -> None:
    parser = FrameParser(LIMIT)
    stream = framed(b"before") + length.to_bytes(4, signed=True)
    with pytest.raises(FrameTooLarge, match=str(length)):
        feed(parser, stream, len(stream))
    assert parser.take() == framed(b"before")


def test_waiting_counts_what_nobody_took() -> None:
    parser = FrameParser(LIMIT)
    stream = framed(b"abc") + framed(b"d")
    parser.space()[: len(stream)] = stream
    parser.received(len(stream))
    assert parser.waiting == len(stream)
