"""Where a PostgreSQL server tells a program that its transaction is committed.

The server's messages are a byte for the type, four for the length, and a body (PostgreSQL's manual,
"Message Formats"). A ReadyForQuery ("Z") ends each answer, and no driver goes on before it; so what
keeps it back keeps the program from knowing what has become of its commit.
"""

from collections.abc import Sequence

HEAD = 5  # bytes: type and length
READY, COMPLETE, ERROR = b"ZCE"
LOOKED_AT = (READY, COMPLETE, ERROR)
JUDGED = (READY, COMPLETE)  # by their bodies
READY_SIZE = 6  # bytes of a whole ReadyForQuery
IDLE = b"I"  # the state of a session outside of a transaction
WRITES = (b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b"COPY")
NO_TLS = (b"N", b"G", b"S")  # single bytes that answer a request for encryption, before all else


class CommitScanner:
    """Follows what one server says, in pieces of any size.

    A commit counts when its transaction wrote rows, as its statements' tags say: of those in which
    a program only looked there may be hundreds. Rows that a SELECT wrote by the way (a function, a
    WITH) are not seen.

    state: of the session, as the last ReadyForQuery has it; b"" before the first.
    """

    def __init__(self) -> None:
        self._kept = bytearray()  # of a message that is not there as far as it is needed
        self._skip = 0  # bytes of a message that nobody needs
        self._greeted = False
        self.state = b""
        self._wrote = False
        self._committed = False

    def next_commit(self, data: bytes, at: int = 0) -> int:
        """Read on from `data[at]`, up to the end of the next answer that tells of a commit; return
        where that is, or -1 when nothing more in `data` tells of one."""
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
            elif not self._greeted and not self._kept and data[at : at + 1] in NO_TLS:
                at += 1
            elif not self._kept and data[at] not in LOOKED_AT and len(data) - at >= HEAD:
                self._skip = 1 + int.from_bytes(data[at + 1 : at + HEAD])  # rows: there may be many
                self._greeted = True
            else:
                part = data[at : at + self._wanted() - len(self._kept)]
                self._kept += part
                at += len(part)
                if self._is_commit():
                    return at
        return -1

    def _wanted(self) -> int:
        """How many bytes of the message at hand are needed to judge it."""
        is_needed = len(self._kept) >= HEAD and self._kept[0] in JUDGED
        return 1 + int.from_bytes(self._kept[1:HEAD]) if is_needed else HEAD

    def _is_commit(self) -> bool:
        """Judge the message at hand when it is there; whether it tells of a commit."""
        if len(self._kept) < self._wanted():
            return False
        self._greeted = True
        kind, size = self._kept[0], 1 + int.from_bytes(self._kept[1:HEAD])
        body = bytes(self._kept[HEAD:])
        self._skip = size - len(self._kept)
        self._kept.clear()
        if kind == READY:
            return self._ready(body)
        if kind == COMPLETE:
            self._complete(body.rstrip(b"\0").split())
        elif kind == ERROR and self.state == IDLE:
            self._wrote = False
        return False

    def _complete(self, tag: Sequence[bytes]) -> None:
        """A statement is done; its tag is like `INSERT 0 3`."""
        if tag[:1] == [b"COMMIT"]:
            self._committed = True
        elif tag and tag[0] in WRITES and tag[-1] != b"0":
            self._wrote = True

    def _ready(self, state: bytes) -> bool:
        alone = state == self.state == IDLE  # its transaction began and ended with the answer
        found = self._wrote and (self._committed or alone)
        if state == IDLE or self._committed:
            self._wrote = False
        self.state, self._committed = state, False
        return found
