"""What a program and its PostgreSQL server say to each other, as far as faults need to know.

After the start a message is a byte for its type, four for its length, and a body (PostgreSQL's
manual, "Message Formats"). A ReadyForQuery ends each answer, and no driver goes on before it; so
what keeps it back keeps the program from knowing what has become of its commit.
"""

import re
from collections.abc import Iterator, Sequence

HEAD = 5  # bytes: type and length
MOST = 8192  # bytes of a body that anybody looks at
READY, COMPLETE, ERROR = b"ZCE"  # of the server
QUERY, PARSE, BIND = b"QPB"  # of the program
READY_SIZE = 6  # bytes of a whole ReadyForQuery
IDLE = b"I"  # the state of a session outside of a transaction
WRITES = (b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b"COPY")
NO_TLS = (b"N", b"G", b"S")  # single bytes that answer a request for encryption, before all else
MOST_PREPARED = 1000  # statements that are remembered of a session

# Words that begin a transaction, end it for good, write, or only read.
BEGIN = re.compile(rb"(?i)\b(begin|start transaction)\b")
COMMIT = re.compile(rb"(?i)\bcommit\b")
WRITE = re.compile(rb"(?i)\b(insert|update|delete|merge|copy|create|alter|drop|truncate|call|do)\b")
READ = re.compile(rb"(?i)\b(select|set|show|listen)\b")


class Messages:
    """Finds messages of some types in one direction, which comes in pieces of any size."""

    def __init__(self, wanted: bytes) -> None:
        self._wanted = wanted
        self._kept = bytearray()  # of a message that is not there as far as it is needed
        self._skip = 0  # bytes of a message that nobody needs

    def read(self, data: bytes, at: int = 0) -> Iterator[tuple[int, bytes, int]]:
        """Of each wanted message that ends in `data`: type, body (its first 8 KiB), and the place
        in `data` behind what was read. Nothing is lost when it is left early: go on from there."""
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
            elif not self._kept and data[at] not in self._wanted and len(data) - at >= HEAD:
                self._skip = 1 + int.from_bytes(data[at + 1 : at + HEAD])  # rows: there may be many
            else:
                part = data[at : at + self._needed() - len(self._kept)]
                self._kept += part
                at += len(part)
                if len(self._kept) == self._needed():
                    kind, body = self._take()
                    if kind in self._wanted:
                        yield kind, body, at

    def _needed(self) -> int:
        """How many bytes of the message at hand somebody needs."""
        if len(self._kept) < HEAD or self._kept[0] not in self._wanted:
            return HEAD
        return min(1 + int.from_bytes(self._kept[1:HEAD]), HEAD + MOST)

    def _take(self) -> tuple[int, bytes]:
        kind, body = self._kept[0], bytes(self._kept[HEAD:])
        self._skip = 1 + int.from_bytes(self._kept[1:HEAD]) - len(self._kept)
        self._kept.clear()
        return kind, body


class CommitScanner:
    """Follows what one server says.

    A commit counts when its transaction wrote rows, as its statements' tags say: of those in which
    a program only looked there may be hundreds. Rows that a SELECT wrote by the way (a function, a
    WITH) are not seen.

    state: of the session, as the last ReadyForQuery has it; b"" before the first.
    """

    def __init__(self) -> None:
        self.state = b""
        self._messages = Messages(bytes((READY, COMPLETE, ERROR)))
        self._greeted = False
        self._wrote = False
        self._committed = False

    def next_commit(self, data: bytes, at: int = 0) -> int:
        """Read on from `data[at]`, up to the end of the next answer that tells of a commit; return
        where that is, or -1 when nothing more in `data` tells of one."""
        if not self._greeted and data[at : at + 1] in NO_TLS:
            at += 1
        self._greeted = self._greeted or at < len(data)
        for kind, body, end in self._messages.read(data, at):
            if kind == READY:
                if self._ready(body):
                    return end
            elif kind == COMPLETE:
                self._complete(body.rstrip(b"\0").split())
            elif self.state == IDLE:
                self._wrote = False
        return -1

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


class StatementReader:
    """Follows what one program says, from when its session is ready."""

    def __init__(self) -> None:
        self._messages = Messages(bytes((QUERY, PARSE, BIND)))
        self._prepared: dict[bytes, bytes] = {}

    def read(self, data: bytes) -> list[bytes]:
        """The texts of the statements in a piece; b"" for one that nobody knows."""
        return [self._text(kind, body) for kind, body, _ in self._messages.read(data)]

    def _text(self, kind: int, body: bytes) -> bytes:
        if kind == QUERY:
            return body
        first, second, *_ = (*body.split(b"\0", 2), b"", b"")
        if kind == BIND:  # to a portal, of a statement
            return self._prepared.get(second, b"")
        if len(self._prepared) >= MOST_PREPARED:
            self._prepared.clear()
        self._prepared[first] = second
        return second


def would_save(statements: Sequence[bytes], state: bytes) -> bool:
    """Whether any of these may make something durable, said in this state of a session: a COMMIT,
    or outside of a transaction a statement that may write."""
    if any(map(COMMIT.search, statements)):
        return True
    if state != IDLE or any(map(BEGIN.search, statements)):
        return False
    return any(WRITE.search(text) or not READ.search(text) for text in statements)


def would_read(statements: Sequence[bytes], table: str | None) -> bool:
    """Whether any of these selects from a table (None: any) and writes nothing; to lock rows counts
    as writing."""
    name = re.compile(rb"\b%s\b" % re.escape((table or "select").encode()), re.IGNORECASE)
    return any(name.search(text) and not WRITE.search(text) for text in statements)
