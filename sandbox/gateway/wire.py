"""How Kafka puts values on the wire: integers, strings, arrays, tagged fields.

A `Form` is a reader and a writer of one kind of value. Readers take a buffer and a position and
return the value and the position behind it; nothing is allocated for a length that the buffer
cannot hold.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

UNKNOWN_TAGS = "UnknownTags"
PAST_THE_END = (struct.error, IndexError)  # what a reader raises when the buffer ends too early


class Malformed(Exception):
    """The bytes are no legal message of the version they claim."""


class Form(NamedTuple):
    """How one kind of value is read and written."""

    read: Callable[[memoryview, int], tuple[Any, int]]
    write: Callable[[bytearray, Any], None]


class Fuel:
    """How many elements one message may still have: reading them must not take long."""

    MOST = 20_000

    def __init__(self) -> None:
        self.left = self.MOST

    def refill(self) -> None:
        self.left = self.MOST

    def spend(self, elements: int) -> None:
        self.left -= elements
        if self.left < 0:
            raise Malformed(f"a message of more than {self.MOST} elements")


def base_form(kind: str, compact: bool, nullable: bool) -> Form:
    """Return the form of a base type; `compact` is how flexible versions write lengths."""
    if kind in _FIXED:
        return _FIXED[kind]
    length = COMPACT_LENGTH if compact else _FIXED["int16" if kind == "string" else "int32"]
    return _sized(length, nullable, *_CONVERSIONS[kind])


def array_form(element: Form, compact: bool, nullable: bool, fuel: Fuel) -> Form:
    """Return the form of a list of elements."""
    length_form = COMPACT_LENGTH if compact else _FIXED["int32"]

    def read(buffer: memoryview, at: int) -> tuple[list[Any] | None, int]:
        length, at = length_form.read(buffer, at)
        if length < 0:
            _check_null(nullable)
            return None, at
        if length > len(buffer) - at:  # every element takes at least a byte
            raise Malformed("an array is longer than its message")
        fuel.spend(length)
        elements = []
        for _ in range(length):
            element, at = element_read(buffer, at)
            elements.append(element)
        return elements, at

    def write(out: bytearray, elements: list[Any] | None) -> None:
        length_form.write(out, _length(elements, nullable))
        for each in elements or ():
            element.write(out, each)

    element_read = element.read
    return Form(read, write)


def nullable_struct_form(struct_form: Form) -> Form:
    """Return the form of a struct that may be null: a byte before it tells."""
    mark_form = _FIXED["int8"]

    def read(buffer: memoryview, at: int) -> tuple[Any, int]:
        mark, at = mark_form.read(buffer, at)
        return (None, at) if mark < 0 else struct_form.read(buffer, at)

    def write(out: bytearray, value: Any) -> None:
        mark_form.write(out, -1 if value is None else 1)
        if value is not None:
            struct_form.write(out, value)

    return Form(read, write)


def read_unsigned_varint(buffer: memoryview, at: int) -> tuple[int, int]:
    """Read an unsigned varint of at most five bytes."""
    value = shift = 0
    while True:
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 28:
            raise Malformed("a varint of more than five bytes")


def write_unsigned_varint(out: bytearray, value: int) -> None:
    """Append an unsigned varint."""
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def read_tags(
    buffer: memoryview, at: int, known: dict[int, tuple[str, Form]], fuel: Fuel
) -> tuple[dict[str, Any], int]:
    """Read a section of tagged fields; those not in `known` come back under UNKNOWN_TAGS."""
    count, at = read_unsigned_varint(buffer, at)
    if count:
        fuel.spend(count)
    found: dict[str, Any] = {}
    unknown: dict[int, bytes] = {}
    for _ in range(count):
        tag, at = read_unsigned_varint(buffer, at)
        size, at = read_unsigned_varint(buffer, at)
        end = at + size
        if end > len(buffer):
            raise Malformed("a tagged field reaches past the end")
        if tag in known:
            name, form = known[tag]
            found[name], at = form.read(buffer[:end], at)
            if at != end:
                raise Malformed(f"tagged field {name} has another length than it claims")
        else:
            unknown[tag], at = bytes(buffer[at:end]), end
    if unknown:
        found[UNKNOWN_TAGS] = unknown
    return found, at


def write_tags(out: bytearray, values: dict[str, Any], known: dict[int, tuple[str, Form]]) -> None:
    """Append the tagged fields among `values`, in the order of their tags."""
    fields: dict[int, bytes] = dict(values.get(UNKNOWN_TAGS, {}))
    for tag, (name, form) in known.items():
        if name in values:
            data = bytearray()
            form.write(data, values[name])
            fields[tag] = bytes(data)
    write_unsigned_varint(out, len(fields))
    for tag, content in sorted(fields.items()):
        write_unsigned_varint(out, tag)
        write_unsigned_varint(out, len(content))
        out += content


def _fixed(code: str) -> Form:
    shape = struct.Struct(">" + code)
    unpack, pack, size = shape.unpack_from, shape.pack, shape.size

    def read(buffer: memoryview, at: int) -> tuple[Any, int]:
        return unpack(buffer, at)[0], at + size

    def write(out: bytearray, value: Any) -> None:
        out += pack(value)

    return Form(read, write)


def _sized(
    length_form: Form,
    nullable: bool,
    from_bytes: Callable[[memoryview], Any],
    to_bytes: Callable[[Any], bytes],
) -> Form:
    def read(buffer: memoryview, at: int) -> tuple[Any, int]:
        length, at = length_form.read(buffer, at)
        if length < 0:
            _check_null(nullable)
            return None, at
        end = at + length
        if end > len(buffer):
            raise Malformed("a string or bytes field reaches past the end")
        return from_bytes(buffer[at:end]), end

    def write(out: bytearray, value: Any) -> None:
        data = None if value is None else to_bytes(value)
        length_form.write(out, _length(data, nullable))
        out += data or b""

    return Form(read, write)


def _check_null(nullable: bool) -> None:
    if not nullable:
        raise Malformed("null in a field that cannot be null")


def _length(value: Any, nullable: bool) -> int:
    if value is None and not nullable:
        raise ValueError("None in a field that cannot be null")
    return -1 if value is None else len(value)


def _read_compact_length(buffer: memoryview, at: int) -> tuple[int, int]:
    value, at = read_unsigned_varint(buffer, at)
    return value - 1, at


def _write_compact_length(out: bytearray, length: int) -> None:
    write_unsigned_varint(out, length + 1)


COMPACT_LENGTH = Form(_read_compact_length, _write_compact_length)
_FIXED = {
    "bool": _fixed("?"),
    "int8": _fixed("b"),
    "int16": _fixed("h"),
    "uint16": _fixed("H"),
    "int32": _fixed("i"),
    "int64": _fixed("q"),
    "float64": _fixed("d"),
    "uuid": _fixed("16s"),
}
_CONVERSIONS: dict[str, tuple[Callable[[memoryview], Any], Callable[[Any], bytes]]] = {
    "string": (lambda view: str(view, "utf-8"), str.encode),
    "bytes": (bytes, bytes),
    "records": (lambda view: view, lambda view: view),
}
