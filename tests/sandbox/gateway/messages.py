"""Messages of Kafka's definitions: any (as Hypothesis strategies), or one sample."""

from typing import Any

from hypothesis import strategies as st

from sandbox.gateway.definitions import Field, Message
from sandbox.gateway.wire import UNKNOWN_TAGS

UNUSED_TAG = 1000  # no definition uses tags as high as this


def _ints(bits: int, signed: bool = True) -> st.SearchStrategy[int]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return st.integers(low, high)


BASE: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int8": _ints(8),
    "int16": _ints(16),
    "uint16": _ints(16, signed=False),
    "int32": _ints(32),
    "int64": _ints(64),
    "float64": st.floats(allow_nan=False),
    "uuid": st.binary(min_size=16, max_size=16),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    "bytes": st.binary(max_size=200),
    "records": st.binary(max_size=200),
}


def bodies(message: Message, version: int) -> st.SearchStrategy[dict[str, Any]]:
    """Any body of this message in this version."""
    return _struct(message, version, message.fields)


def _struct(
    message: Message, version: int, fields: tuple[Field, ...]
) -> st.SearchStrategy[dict[str, Any]]:
    present = [f for f in fields if version in f.versions]
    required = {f.name: _value(message, version, f) for f in present if version not in f.tagged}
    optional = {f.name: _value(message, version, f) for f in present if version in f.tagged}
    if version in message.flexible:
        tags = st.dictionaries(st.just(UNUSED_TAG), st.binary(max_size=5), min_size=1)
        optional[UNKNOWN_TAGS] = tags
    return st.fixed_dictionaries(required, optional=optional)


def _value(message: Message, version: int, field: Field) -> st.SearchStrategy[Any]:
    if field.is_struct:
        value = _struct(message, version, message.structs[field.element])
    else:
        value = BASE[field.element]
    if field.is_array:
        value = st.lists(value, max_size=3)
    return st.none() | value if version in field.nullable else value


def sample(message: Message, version: int) -> dict[str, Any]:
    """A body in which every array has one element and every field a plain value."""
    return _sample_struct(message, version, message.fields)


def _sample_struct(message: Message, version: int, fields: tuple[Field, ...]) -> dict[str, Any]:
    present = [f for f in fields if version in f.versions and version not in f.tagged]
    return {f.name: _sample_value(message, version, f) for f in present}


def _sample_value(message: Message, version: int, field: Field) -> Any:
    if field.is_struct:
        value: Any = _sample_struct(message, version, message.structs[field.element])
    else:
        value = PLAIN.get(field.element, 1)
    return [value] if field.is_array else value


PLAIN = {"bool": True, "string": "text", "bytes": b"b", "records": b"r", "uuid": bytes(range(16))}
