"""Frames of the Kafka protocol: four bytes of length, then as many bytes."""

from collections import deque

PREFIX = 4
_SMALL = 64 * 1024

Frame = bytes | bytearray


class FrameTooLarge(Exception):
    """A frame announces a length that nobody should send."""


class FrameParser:
    """Cuts a stream of bytes into frames, which keep their length prefix.

    The bytes are received into `space()`: a large frame goes straight into its own memory, which is
    set aside only after its length was found to be at most `limit`.

    waiting: the bytes of the whole frames that nobody has taken yet.
    """

    def __init__(self, limit: int) -> None:
        self.waiting = 0
        self._frames: deque[Frame] = deque()
        self._limit = limit
        self._buffer = memoryview(bytearray(_SMALL))  # begins with a frame's first byte
        self._filled = 0
        self._large: bytearray | None = None
        self._large_filled = 0

    def space(self) -> memoryview:
        """Return where the next bytes belong; never empty."""
        if self._large is not None:
            return memoryview(self._large)[self._large_filled :]
        return self._buffer[self._filled :]

    def received(self, count: int) -> None:
        """Take note that `count` bytes were put into `space()`. Raises FrameTooLarge."""
        if self._large is None:
            self._filled += count
            self._cut_small()
            return
        self._large_filled += count
        if self._large_filled == len(self._large):
            self._add(self._large)
            self._large = None

    def take(self) -> Frame | None:
        """Return the oldest whole frame, None when there is none."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self.waiting -= len(frame)
        return frame

    def _cut_small(self) -> None:
        start = 0
        while self._filled - start >= PREFIX:
            size = self._frame_size(start)
            if size > _SMALL:
                self._begin_large(size, start)
                return
            if self._filled - start < size:
                break
            self._add(bytes(self._buffer[start : start + size]))
            start += size
        self._move_to_front(start)

    def _add(self, frame: Frame) -> None:
        self._frames.append(frame)
        self.waiting += len(frame)

    def _frame_size(self, start: int) -> int:
        length = int.from_bytes(self._buffer[start : start + PREFIX], signed=True)
        if not 0 <= length <= self._limit:
            raise FrameTooLarge(f"a frame of {length} bytes; at most {self._limit} are taken")
        return PREFIX + length

    def _begin_large(self, size: int, start: int) -> None:
        self._large = bytearray(size)
        self._large_filled = self._filled - start
        self._large[: self._large_filled] = self._buffer[start : self._filled]
        self._filled = 0

    def _move_to_front(self, start: int) -> None:
        rest = bytes(self._buffer[start : self._filled])
        self._buffer[: len(rest)] = rest
        self._filled = len(rest)
