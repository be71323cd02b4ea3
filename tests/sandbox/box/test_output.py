"""Output becomes lines that are safe to show, and no more of them than paid for."""

import os

import pytest

from sandbox.box.output import (
    LINE_BYTES,
    LINE_COST,
    Budget,
    Lines,
    Metered,
    Pieces,
    printable,
)
from sandbox.box.output import pump as pump_output


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain", "plain"),
        ("Zürich → 5 €".encode(), "Zürich → 5 €"),
        (b"tab\tstays", "tab\tstays"),
        (b"windows\r", "windows"),
        (b"\x1b[31;1mred\x1b[0m", "red"),
        (b"\x1b]0;new title\x07text", "text"),
        (b"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1bPdevice string\x1b\\text", "text"),
        (b"\x1b]never ended", ""),
        (b"bell\x07 nul\x00 back\x08", "bell\ufffd nul\ufffd back\ufffd"),
        (b"over\rwritten", "over\ufffdwritten"),
        (b"\xff\xfe not utf-8", "\ufffd\ufffd not utf-8"),
        (b"\xed\xa0\x80 half a pair", "\ufffd\ufffd\ufffd half a pair"),
        ("right\u202eto left".encode(), "right\ufffdto left"),
        ("two\u2028lines".encode(), "two\ufffdlines"),
        (b"<script>", "<script>"),
    ],
)
def test_printable(raw, shown):
    assert printable(raw) == shown


async def pump(written: bytes, output_bytes: int, sink: Lines | Pieces) -> list[str]:
    """Hand what was `written` to a sink; return how often the budget ran out."""
    empty = []
    reading, writing = os.pipe()
    os.write(writing, written)
    os.close(writing)
    try:
        budget = Budget(output_bytes, lambda: empty.append("empty"))
        await pump_output(reading, Metered(budget, sink))
    finally:
        os.close(reading)
    return empty


async def pumped(written: bytes, output_bytes: int = 1_000_000) -> tuple[list[str], list[str]]:
    """Return the lines that come of `written`, and how often the budget ran out."""
    lines: list[str] = []
    sink = Lines("stdout", lambda name, line: lines.append(line))
    return lines, await pump(written, output_bytes, sink)


async def test_bytes_come_as_they_are_and_no_more_than_paid_for():
    pieces: list[bytes] = []
    written = bytes(range(256)) * 100
    assert await pump(written, 1_000_000, Pieces(pieces.append)) == []
    assert b"".join(pieces) == written
    assert await pump(written, 1_000, Pieces(pieces.append)) == ["empty"]
    assert b"".join(pieces) == written + written[:1_000]


async def test_lines_and_an_unfinished_one():
    assert await pumped(b"one\n\ntwo\nthr") == (["one", "", "two", "thr"], [])


async def test_long_line_is_cut_and_the_next_is_not():
    lines, _ = await pumped(b"x" * (LINE_BYTES + 5) + b"\n" + b"y" * LINE_BYTES + b"\n")
    assert lines == ["x" * LINE_BYTES + " [line cut]", "y" * LINE_BYTES]


async def test_line_is_decoded_whole():
    assert await pumped("é".encode() * 5000) == (["é" * (LINE_BYTES // 2) + " [line cut]"], [])


async def test_budget_ends_once_and_nothing_is_handed_on_after_it():
    lines, empty = await pumped(b"x" * 100 + b"\n" + b"y\n" * 20_000, output_bytes=200)
    assert empty == ["empty"]
    assert lines[0] == "x" * 100
    assert len(lines) < 200


async def test_empty_lines_are_not_free():
    lines, empty = await pumped(b"\n" * 60_000, output_bytes=100_000)
    assert empty == ["empty"]
    assert len(lines) < 100_000 // LINE_COST + 8_192
