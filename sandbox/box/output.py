"""What a program prints: cut into lines, counted against its limit, made safe to show."""

import os
import re
from collections.abc import AsyncIterator, Callable

from sandbox.box.fds import readable

OnLine = Callable[[str, str], None]
OnBytes = Callable[[bytes], None]

LINE_BYTES = 8_192  # the rest of a longer line is dropped
LINE_COST = 32  # of a line on top of its bytes, so that empty lines are not free
CHUNK = 8_192  # read at once; the limit is looked at after each

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC and other strings: titles, links
    r"|\x1b[ -/]*[0-~]?"
)
# Control characters besides the tab, line separators, and what turns the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(raw: bytes) -> str:
    """Return one line of output as text without terminal escapes.

    Bytes that are not UTF-8 and remaining control characters become U+FFFD.
    """
    text = raw.rstrip(b"\r").decode("utf-8", errors="replace")
    return _CONTROLS.sub("\ufffd", _ESCAPES.sub("", text))


class Budget:
    """What both streams of a box may print; `on_empty` is called once, when it is used up."""

    def __init__(self, output_bytes: int, on_empty: Callable[[], None]) -> None:
        self.left = output_bytes
        self._on_empty = on_empty

    def spend(self, chunk: bytes) -> bytes:
        """Return as much of `chunk` as is paid for."""
        if self.left <= 0:
            return b""
        paid = chunk[: self.left]
        left = self.left = self.left - len(paid) - LINE_COST * paid.count(b"\n")
        if left <= 0:
            self._on_empty()
        return paid


class Lines:
    """Takes what is printed, and hands it on line by line."""

    def __init__(self, name: str, on_line: OnLine) -> None:
        self._name, self._on_line = name, on_line
        self._line = bytearray()
        self._cut = False

    def take(self, chunk: bytes) -> None:
        *lines, rest = chunk.split(b"\n")
        for piece in lines:
            self._extend(piece)
            self._flush()
        self._extend(rest)

    def end(self) -> None:
        """Hand on a last line that nothing ended."""
        if self._line:
            self._flush()

    def _extend(self, piece: bytes) -> None:
        room = LINE_BYTES - len(self._line)
        self._cut = self._cut or len(piece) > room
        self._line += piece[:room]

    def _flush(self) -> None:
        text = printable(bytes(self._line)) + (" [line cut]" if self._cut else "")
        self._line.clear()
        self._cut = False
        self._on_line(self._name, text)


class Pieces:
    """Takes what is printed, and hands it on as it comes: bytes for a reader that is no person."""

    def __init__(self, on_bytes: OnBytes) -> None:
        self.take = on_bytes

    def end(self) -> None:
        """Nothing is kept back."""


class Metered:
    """What one of the two output streams prints: counted against the budget of both."""

    def __init__(self, budget: Budget, sink: Lines | Pieces) -> None:
        self._budget, self._sink = budget, sink

    def take(self, chunk: bytes) -> None:
        self._sink.take(self._budget.spend(chunk))

    def end(self) -> None:
        self._sink.end()


async def pump(fd: int, stream: Metered) -> None:
    """Hand on all that is written to a pipe until nothing can write to it any more."""
    async for chunk in chunks(fd):
        stream.take(chunk)
    stream.end()


async def chunks(fd: int) -> AsyncIterator[bytes]:
    """Yield what comes through `fd`, piece by piece, until its end."""
    os.set_blocking(fd, False)
    while True:
        await readable(fd)
        if not (chunk := os.read(fd, CHUNK)):
            return
        yield chunk
