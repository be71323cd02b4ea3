"""Read and write any message of the Kafka protocol, driven by its definitions.

A message is a dict whose keys are the field names of the definition. Fields that a version does
not carry are absent. A tagged field is there only when it was sent; tags that the definition does
not know are kept under `UNKNOWN_TAGS` as {tag: bytes}, so `encode(decode(x)) == x`. `records`
fields are memoryviews of the frame, uuids are 16 bytes. When encoding, an absent field takes the
definition's default, and a field of other versions is left out.

Readers and writers are built once per message and version, on first use.
"""

import functools
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.gateway.definitions import Field, Message, read_definitions
from sandbox.gateway.wire import (
    PAST_THE_END,
    UNKNOWN_TAGS,
    Form,
    Fuel,
    Malformed,
    array_form,
    base_form,
    nullable_struct_form,
    read_tags,
    write_tags,
)

Body = dict[str, Any]
_HEADER = struct.Struct(">hhi")
_INT32 = struct.Struct(">i")
_CLIENT_ID = base_form("string", compact=False, nullable=True)


class UnknownMessage(Exception):
    """The jar defines no such API, or not this version of it."""


class RequestHeader(NamedTuple):
    """What stands before every request; `body_at` is where the body starts in the frame."""

    api_key: int
    version: int
    correlation_id: int
    client_id: str | None
    body_at: int


class Codec:
    """All messages of one Kafka version. For one thread only."""

    def __init__(self, messages: dict[str, Message]) -> None:
        self._messages = messages
        self.api_names = {
            m.api_key: m.name.removesuffix("Request")
            for m in messages.values()
            if m.kind == "request" and m.api_key is not None
        }
        self.api_keys = {name: key for key, name in self.api_names.items()}
        self._form = functools.cache(self._build_form)
        self._fuel = Fuel()

    @classmethod
    def from_jar(cls, jar: Path) -> "Codec":
        """Read the definitions of a kafka-clients jar."""
        return cls(read_definitions(jar))

    def messages(self) -> Iterable[Message]:
        """Every message that can be read and written."""
        return self._messages.values()

    def supports(self, api: str, version: int) -> bool:
        """Whether this version of the API's request and response can be read."""
        message = self._messages.get(f"{api}Request")
        return message is not None and version in message.versions

    def request_header(self, frame: memoryview) -> RequestHeader:
        """Read the header of a request frame (without its length). Raises Malformed."""
        self._fuel.refill()
        try:
            api_key, version, correlation_id = _HEADER.unpack_from(frame)
            client_id, at = _CLIENT_ID.read(frame, _HEADER.size)
            if self._is_flexible(f"{self.api_names.get(api_key)}Request", version):
                _, at = read_tags(frame, at, {}, self._fuel)
        except (*PAST_THE_END, UnicodeDecodeError) as error:
            raise Malformed(f"request header: {error}") from error
        return RequestHeader(api_key, version, correlation_id, client_id, at)

    def decode_request(self, api: str, version: int, frame: memoryview, body_at: int) -> Body:
        """Read the body of a request frame. Raises Malformed, UnknownMessage.

        Bytes behind the body are passed over, as brokers do: librdkafka 2.16 sends three of them
        when it lists all topics.
        """
        return self._read(f"{api}Request", version, frame[body_at:])[0]

    def decode_response(self, api: str, version: int, frame: memoryview) -> Body:
        """Read the body of a response frame. Raises Malformed, UnknownMessage."""
        at = _INT32.size
        if self._has_tagged_response_header(api, version):
            _, at = read_tags(frame, at, {}, self._fuel)
        return self.decode(f"{api}Response", version, frame[at:])

    def encode_request(
        self, api: str, version: int, correlation_id: int, client_id: str | None, body: Body
    ) -> bytes:
        """Return a request with its length and header."""
        head = bytearray(_HEADER.pack(self.api_keys[api], version, correlation_id))
        _CLIENT_ID.write(head, client_id)
        if self._is_flexible(f"{api}Request", version):
            write_tags(head, {}, {})
        return _framed(head, self.encode(f"{api}Request", version, body))

    def encode_response(self, api: str, version: int, correlation_id: int, body: Body) -> bytes:
        """Return a response with its length and header."""
        head = bytearray(_INT32.pack(correlation_id))
        if self._has_tagged_response_header(api, version):
            write_tags(head, {}, {})
        return _framed(head, self.encode(f"{api}Response", version, body))

    def decode(self, name: str, version: int, data: bytes | memoryview) -> Body:
        """Read a message by its definition's name. Raises Malformed, UnknownMessage."""
        body, at = self._read(name, version, memoryview(data))
        if at != len(data):
            raise Malformed(f"{name} v{version}: {len(data) - at} bytes too many")
        return body

    def encode(self, name: str, version: int, body: Body) -> bytes:
        """Write a message. Raises UnknownMessage, and ValueError for a field it does not have."""
        out = bytearray()
        self._form(name, version).write(out, body)
        return bytes(out)

    def _read(self, name: str, version: int, data: memoryview) -> tuple[Body, int]:
        self._fuel.refill()
        try:
            return self._form(name, version).read(data, 0)
        except (*PAST_THE_END, UnicodeDecodeError) as error:
            raise Malformed(f"{name} v{version}: {error}") from error

    def _build_form(self, name: str, version: int) -> Form:
        message = self._messages.get(name)
        if message is None or version not in message.versions:
            raise UnknownMessage(f"Kafka's definitions have no {name} v{version}")
        return _Compiler(message, version, self._fuel).struct_form(message.fields)

    def _is_flexible(self, name: str, version: int) -> bool:
        message = self._messages.get(name)
        return message is not None and version in message.flexible

    def _has_tagged_response_header(self, api: str, version: int) -> bool:
        # A client must read this answer before it knows what the broker speaks (KIP-511).
        return api != "ApiVersions" and self._is_flexible(f"{api}Response", version)


class _Compiler:
    """Builds the form of one message in one version."""

    def __init__(self, message: Message, version: int, fuel: Fuel) -> None:
        self.message = message
        self.version = version
        self.flexible = version in message.flexible
        self.fuel = fuel

    def struct_form(self, fields: tuple[Field, ...]) -> Form:
        present = [f for f in fields if self.version in f.versions]
        tags = {f.tag: (f.name, self._field_form(f)) for f in present if self.version in f.tagged}
        plain = [f for f in present if self.version not in f.tagged]
        forms = [(f.name, *self._field_form(f), self._default(f)) for f in plain]
        names = {f.name for f in fields} | {UNKNOWN_TAGS}
        flexible, fuel = self.flexible, self.fuel

        def read(buffer: memoryview, at: int) -> tuple[Body, int]:
            body: Body = {}
            for name, read_field, _, _ in forms:
                body[name], at = read_field(buffer, at)
            if flexible:
                found, at = read_tags(buffer, at, tags, fuel)
                body.update(found)
            return body, at

        def write(out: bytearray, body: Body) -> None:
            if not body.keys() <= names:
                raise ValueError(f"{self.message.name} has no field {body.keys() - names}")
            for name, _, write_field, default in forms:
                write_field(out, body.get(name, default))
            if flexible:
                write_tags(out, body, tags)

        return Form(read, write)

    def _field_form(self, each: Field) -> Form:
        nullable = self.version in each.nullable
        compact = self.flexible if each.flexible is None else self.version in each.flexible
        if each.is_struct:
            form = self.struct_form(self.message.structs[each.element])
            if nullable and not each.is_array:
                form = nullable_struct_form(form)
        else:
            form = base_form(each.element, compact, nullable and not each.is_array)
        return array_form(form, compact, nullable, self.fuel) if each.is_array else form

    def _default(self, each: Field) -> Any:
        if each.default == "null":
            return None
        if each.is_array:
            return []
        if each.is_struct:
            return {}
        return _default_of(each.type, each.default)


def _default_of(kind: str, default: Any) -> Any:
    match kind:
        case "string":
            return default or ""
        case "bytes" | "records":
            return b""
        case "uuid":
            return bytes(16)
        case "bool":
            return str(default).lower() == "true"
        case "float64":
            return float(default or 0)
    return int(str(default or 0), 0)


def _framed(head: bytearray, body: bytes) -> bytes:
    return _INT32.pack(len(head) + len(body)) + head + body
