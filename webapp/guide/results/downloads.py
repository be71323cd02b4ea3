"""Files made from a result."""

import io
import json
import re
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from decision_guide import Heading, Result, csv, madr, madr_combined, well_architected_lens


@dataclass(frozen=True)
class Download:
    """A file: the end of its name, its type, and how its content is made."""

    suffix: str
    mimetype: str
    content: Callable[[Result, Heading], bytes]


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _records(result: Result, heading: Heading) -> bytes:
    """A zip with one decision record for each decision, numbered, and the answers."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, decision in enumerate(result.decisions, start=1):
            name = f"{number:04}-{decision.id}.md"
            archive.writestr(name, madr(result, decision.id, heading))
        archive.writestr("ANSWERS.json", _json(result.answers.to_json(result.model)))
    return out.getvalue()


DOWNLOADS = {
    "answers": Download(
        "ANSWERS.json",
        "application/json",
        lambda result, _: _json(result.answers.to_json(result.model)),
    ),
    "record": Download(
        "record.md",
        "text/markdown",
        lambda result, heading: madr_combined(result, heading).encode(),
    ),
    "records": Download("records.zip", "application/zip", _records),
    "result": Download(
        "result.json", "application/json", lambda result, _: _json(result.to_json())
    ),
    "table": Download("scores.csv", "text/csv", lambda result, _: csv(result).encode()),
    "lens": Download(
        "lens.json",
        "application/json",
        lambda result, _: _json(well_architected_lens(result.model)),
    ),
}


def file_name(result: Result, download: Download) -> str:
    """A name that says what the answers are about, in letters that every system takes."""
    plain = unicodedata.normalize("NFKD", result.answers.title).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:60]
    return f"{stem or 'decision-guide'}-{download.suffix}"
