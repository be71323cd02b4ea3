"""The output of a container as the engine sends it: both streams through one connection.

Each piece has a header of eight bytes: 1 for stdout or 2 for stderr, three zeros, and the length
as a big-endian number of four bytes (Docker Engine API, "Attach to a container").
"""

import contextlib
import struct

from sandbox.box.output import Metered, chunks

HEADER = struct.Struct(">BxxxI")
STDERR = 2


async def pump_frames(fd: int, stdout: Metered, stderr: Metered) -> None:
    """Hand on all that is printed until nothing can write any more."""
    frames = Frames(stdout, stderr)
    with contextlib.suppress(ConnectionResetError):  # the engine has ended
        async for chunk in chunks(fd):
            frames.take(chunk)
    stdout.end()
    stderr.end()


class Frames:
    """Takes the connection's bytes, however they are cut, and hands each stream its own."""

    def __init__(self, stdout: Metered, stderr: Metered) -> None:
        self._stdout, self._stderr = stdout, stderr
        self._stream = stdout
        self._header = b""
        self._left = 0  # bytes of this piece that are still to come

    def take(self, chunk: bytes) -> None:
        while chunk:
            chunk = self._take_content(chunk) if self._left else self._take_header(chunk)

    def _take_content(self, chunk: bytes) -> bytes:
        piece = chunk[: self._left]
        self._left -= len(piece)
        self._stream.take(piece)
        return chunk[len(piece) :]

    def _take_header(self, chunk: bytes) -> bytes:
        missing = HEADER.size - len(self._header)
        self._header += chunk[:missing]
        if len(self._header) == HEADER.size:
            which, self._left = HEADER.unpack(self._header)
            self._stream = self._stderr if which == STDERR else self._stdout
            self._header = b""
        return chunk[missing:]
