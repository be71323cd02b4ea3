"""Kafka's own message definitions, read from the kafka-clients jar.

The jar carries `common/message/*.json`, the files from which Kafka generates its own readers and
writers. Their format is described by `common/message/README.md` in the same jar.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_STRING_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*')
_FOREVER = 1 << 15


@dataclass(frozen=True)
class Versions:
    """An inclusive range of versions; `low > high` holds none."""

    low: int
    high: int

    @classmethod
    def parse(cls, text: str) -> "Versions":
        """Read "3", "0-5", "4+" or "none"."""
        if text == "none":
            return cls(1, 0)
        if text.endswith("+"):
            return cls(int(text[:-1]), _FOREVER)
        low, _, high = text.partition("-")
        return cls(int(low), int(high or low))

    def __contains__(self, version: int) -> bool:
        return self.low <= version <= self.high

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.low, self.high + 1))


@dataclass(frozen=True)
class Field:
    """One field of a message: `type` is a base type, a struct's name, or "[]" and either."""

    name: str
    type: str
    versions: Versions
    nullable: Versions
    tagged: Versions
    tag: int  # -1: has none
    flexible: Versions | None  # None: as the message
    default: Any  # as written in the definition; None when it gives none
    fields: tuple["Field", ...]

    @property
    def element(self) -> str:
        return self.type.removeprefix("[]")

    @property
    def is_array(self) -> bool:
        return self.type.startswith("[]")

    @property
    def is_struct(self) -> bool:
        return self.element[:1].isupper()


@dataclass(frozen=True)
class Message:
    """A request, a response, a header or a piece of data of the protocol."""

    name: str
    kind: str  # "request" | "response" | "header" | "data"
    api_key: int | None
    versions: Versions
    flexible: Versions
    fields: tuple[Field, ...]
    structs: dict[str, tuple[Field, ...]] = field(compare=False)  # every struct by its name


def read_definitions(jar: Path) -> dict[str, Message]:
    """Return every message of the jar that some version still speaks, by its name.

    Raises ValueError when the file is no kafka-clients jar.
    """
    with zipfile.ZipFile(jar) as archive:
        names = [n for n in archive.namelist() if re.fullmatch(r"common/message/\w+\.json", n)]
        messages = [parse_definition(archive.read(name).decode()) for name in names]
    if not messages:
        raise ValueError(f"{jar} holds no common/message/*.json; give a kafka-clients jar")
    return {m.name: m for m in messages if m.versions.low <= m.versions.high}


def parse_definition(text: str) -> Message:
    """Read one definition: JSON with // comments."""
    raw = json.loads(_STRING_OR_COMMENT.sub(lambda match: match[1] or "", text))
    structs: dict[str, tuple[Field, ...]] = {}
    for struct in raw.get("commonStructs", []):
        structs[struct["name"]] = _fields(struct["fields"], structs)
    fields = _fields(raw.get("fields", []), structs)  # a removed message has none
    return Message(
        name=raw["name"],
        kind=raw["type"],
        api_key=raw.get("apiKey"),
        versions=Versions.parse(raw["validVersions"]),
        flexible=Versions.parse(raw.get("flexibleVersions", "none")),
        fields=fields,
        structs=structs,
    )


def _fields(raw: list[dict[str, Any]], structs: dict[str, tuple[Field, ...]]) -> tuple[Field, ...]:
    return tuple(_field(each, structs) for each in raw)


def _field(raw: dict[str, Any], structs: dict[str, tuple[Field, ...]]) -> Field:
    made = Field(
        name=raw["name"],
        type=raw["type"],
        versions=Versions.parse(raw.get("versions", raw.get("taggedVersions", "none"))),
        nullable=Versions.parse(raw.get("nullableVersions", "none")),
        tagged=Versions.parse(raw.get("taggedVersions", "none")),
        tag=raw.get("tag", -1),
        flexible=Versions.parse(raw["flexibleVersions"]) if "flexibleVersions" in raw else None,
        default=raw.get("default"),
        fields=_fields(raw.get("fields", []), structs),
    )
    if made.fields:
        structs[made.element] = made.fields
    return made
