"""Answers that somebody brings along: in a file, or in the link to a result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import request

from decision_guide import (
    Answers,
    GuideError,
    Model,
    check_result,
    decode,
    documents,
    parse_answers,
)
from decision_guide.result import FORMAT as RESULT


@dataclass(frozen=True)
class Brought:
    """Answers; and the result they once had, where the file was that of a result."""

    answers: Answers
    result: Mapping[str, Any] | None = None


def read(model: Model, part: str = "") -> Brought:
    """What is in the fields `file` and `link` of this request; `part` tells two sets apart.

    Raises GuideError when both are empty, or they cannot be read."""
    if (upload := request.files.get(f"file{part}")) and upload.filename:
        return from_document(model, documents.parse(upload.read(documents.LARGEST + 1)))
    if link := request.form.get(f"link{part}", "").strip():
        return Brought(decode(model, link.rpartition("#")[2]))
    what = "is missing: choose a file of answers, or paste the link to a result"
    raise GuideError.at(f"file{part}", what)


def from_document(model: Model, found: Any) -> Brought:
    """An ANSWERS.json, or a result that was downloaded: then the answers inside it."""
    if not isinstance(found, dict) or found.get("format") != RESULT:
        return Brought(parse_answers(model, found))
    inside = found.get("answers")
    if not isinstance(inside, dict):
        raise GuideError.at("$.answers", "is missing: a result holds the answers it is about")
    check_result(found)
    plain = {key: value for key, value in inside.items() if key != "hash"}
    return Brought(parse_answers(model, plain), found)
