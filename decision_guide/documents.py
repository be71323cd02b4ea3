"""JSON documents: reading them, checking them against a schema, naming them by their hash."""

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema

from decision_guide.errors import GuideError, Problem

PACKAGE = Path(__file__).parent
LARGEST = 1_000_000
"""Bytes of a document: several times the largest result."""


def read(path: Path) -> Any:
    """The JSON in a file; GuideError names line and column when it is not JSON."""
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise GuideError.at(str(path), f"cannot be read: {error.strerror}") from error


def parse(text: str | bytes, name: str = "$") -> Any:
    """The JSON in a text called `name`; GuideError says what is wrong with it."""
    if len(text) > LARGEST:
        raise GuideError.at(name, f"must not be larger than {LARGEST:,} bytes")
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise GuideError.at(name, "is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise GuideError.at(name, f"is not JSON: {error.msg} at {where}") from error
    except RecursionError as error:
        raise GuideError.at(name, "is nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise GuideError.at(name, "has a number with too many digits") from error


def canonical(document: Any) -> str:
    """The one spelling of a document: equal documents, equal text."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest(document: Any) -> str:
    """The document's name by content: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()[:16]


def json_path(parts: Any) -> str:
    """A path such as $.answers.replay or $.decisions[2]."""
    return "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts)


@functools.cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    schema = read(PACKAGE / "schemas" / f"{name}.schema.json")
    return jsonschema.Draft202012Validator(schema)


def check(document: Any, schema: str) -> None:
    """Raise GuideError with every place where the document departs from the named schema."""
    errors = sorted(_validator(schema).iter_errors(document), key=lambda e: list(map(str, e.path)))
    if errors:
        raise GuideError([Problem(json_path(e.absolute_path), e.message[:300]) for e in errors])
