"""What programs and PostgreSQL servers say, in pieces of any size."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gateway.database_messages import (
    MOST,
    CommitScanner,
    StatementReader,
    would_read,
    would_save,
)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (4 + len(body)).to_bytes(4) + body


def tag(text: str) -> bytes:
    return message(b"C", text.encode() + b"\0")


def ready(status: str) -> bytes:
    return message(b"Z", status.encode())


ROW = message(b"D", b"Z\0\0\0\5I" * 3)  # looks like other messages inside
ERROR = message(b"E", b"SERROR\0\0")
GREETING = b"N" + message(b"R", bytes(4)) + message(b"S", b"TimeZone\0UTC\0") + ready("I")
# Answers, each with whether it tells of a commit.
ANSWERS = (
    (GREETING, False),
    (tag("INSERT 0 1") + ready("I"), True),
    (tag("INSERT 0 0") + ready("I"), False),
    (tag("BEGIN") + ready("T"), False),
    (ROW + tag("SELECT 1") + ready("T"), False),
    (tag("COMMIT") + ready("I"), False),
    (tag("BEGIN") + ready("T"), False),
    (tag("UPDATE 10") + ready("T"), False),
    (ERROR + ready("T"), False),
    (tag("ROLLBACK") + ready("T"), False),  # to a savepoint
    (tag("COMMIT") + ready("I"), True),
    (tag("BEGIN") + ready("T"), False),
    (tag("DELETE 2") + ready("T"), False),
    (ERROR + ready("I"), False),  # the commit itself was refused
    (tag("BEGIN") + tag("COPY 3") + tag("COMMIT") + ready("T"), True),  # and chain
    (tag("ROLLBACK") + ready("I"), False),
    (tag("INSERT 0 1") + ERROR + ready("I"), False),
    (ROW + tag("INSERT 0 1") + tag("MERGE 1") + ready("I"), True),
)
SAID = b"".join(said for said, _ in ANSWERS)
ENDS = [sum(len(said) for said, _ in ANSWERS[: n + 1]) for n in range(len(ANSWERS))]
COMMITS = [end for end, (_, is_commit) in zip(ENDS, ANSWERS, strict=True) if is_commit]


def commits(cuts: list[int]) -> list[int]:
    """Where the scanner finds the ends of commits when all is said in these pieces."""
    scanner, found = CommitScanner(), []
    for begin, end in pairwise(sorted({0, *cuts, len(SAID)})):
        at = 0
        while (at := scanner.next_commit(SAID[begin:end], at)) >= 0:
            found.append(begin + at)
    return found


def test_commits_that_wrote_rows_are_found() -> None:
    assert commits([]) == COMMITS


def test_they_are_found_byte_by_byte() -> None:
    assert commits(list(range(len(SAID)))) == COMMITS


@given(st.lists(st.integers(0, len(SAID))))
def test_they_are_found_in_any_pieces(cuts: list[int]) -> None:
    assert commits(cuts) == COMMITS


def test_statements_are_known_by_their_text_also_when_they_are_prepared() -> None:
    reader = StatementReader()
    prepared = message(b"P", b"S_1\0COMMIT\0\0\0") + message(b"B", b"\0S_1\0" + bytes(MOST * 2))
    executed = message(b"E", b"\0" + bytes(4)) + message(b"S", b"")
    assert reader.read(prepared + executed) == [b"COMMIT", b"COMMIT"]
    assert reader.read(message(b"B", b"\0S_1\0" + bytes(6)) + executed) == [b"COMMIT"]
    assert reader.read(message(b"B", b"\0S_2\0" + bytes(6))) == [b""]
    assert reader.read(message(b"Q", b"BEGIN\0")) == [b"BEGIN\0"]
    assert reader.read(message(b"X", b"")) == []


@pytest.mark.parametrize(
    ("statements", "state", "saves"),
    [
        ([b"COMMIT"], b"T", True),
        ([b"BEGIN; insert into t values (1); commit"], b"I", True),
        ([b"insert into t values (1)"], b"T", False),
        ([b"Begin", b"insert into t values (1)"], b"I", False),
        ([b"INSERT INTO t VALUES (1)"], b"I", True),
        ([b"select pg_advisory_lock(1)"], b"I", False),
        ([b"with a as (delete from t returning n) select n from a"], b"I", True),
        ([b""], b"I", True),
        ([b""], b"T", False),
        ([], b"I", False),
    ],
)
def test_what_would_save(statements: list[bytes], state: bytes, saves: bool) -> None:
    assert would_save(statements, state) == saves


@pytest.mark.parametrize(
    ("statement", "reads"),
    [
        (b"select n from t where id = 1", True),
        (b"SELECT n FROM public.t", True),
        (b"select n from t for update", False),
        (b"select n from t2", False),
        (b"insert into t values (1)", False),
        (b"with a as (delete from t returning n) select n from a", False),
        (b"", False),
    ],
)
def test_what_would_read_a_table(statement: bytes, reads: bool) -> None:
    assert would_read([b"BEGIN", statement], "t") == reads


def test_what_would_read_any_table() -> None:
    assert would_read([b"SELECT n FROM t2"], None)
    assert not would_read([b"BEGIN", b"insert into t select 1"], None)
