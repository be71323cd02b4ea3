"""The guide at a terminal: what `offsetzero guide score`, `guide lint` and `guide adr` do.

Each returns the text to print and the process's exit code, and raises GuideError for a file that
cannot be used; nothing here prints or knows a command-line library.
"""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

from decision_guide import documents
from decision_guide.answers import Answers, parse_answers
from decision_guide.cases import answer_files
from decision_guide.errors import GuideError, Problem
from decision_guide.evaluation import evaluate
from decision_guide.lint import lint
from decision_guide.loading import load_model
from decision_guide.madr import Heading, madr, madr_combined
from decision_guide.model import Model
from decision_guide.overlay import overlay
from decision_guide.report import text_report

OK, FAULTS, USAGE = 0, 1, 64


@dataclass(frozen=True)
class Outcome:
    """What to print and how to exit: 0 fine, 1 faults found by lint."""

    text: str
    code: int = OK


def model_of(path: Path | None = None, overlay_path: Path | None = None) -> Model:
    """The model in a file (None: the one that ships), with an overlay where one is given."""
    model = load_model(path)
    return model if overlay_path is None else overlay(model, documents.read(overlay_path))


def read_answers(model: Model, path: Path) -> Answers:
    """The answers in a file; the problems of a GuideError start with the file's name."""
    try:
        return parse_answers(model, documents.read(path))
    except GuideError as error:
        named = [_named(path, problem) for problem in error.problems]
        raise GuideError(named) from error


def _named(path: Path, problem: Problem) -> Problem:
    known = problem.path.startswith(str(path))
    return problem if known else Problem(f"{path}: {problem.path}", problem.message)


def score(
    answers: Path,
    *,
    json_path: Path | None = None,
    overlay_path: Path | None = None,
    model_path: Path | None = None,
) -> Outcome:
    """The report on a file of answers; with `json_path` the result is also written there, and
    "-" there makes the JSON the text."""
    model = model_of(model_path, overlay_path)
    result = evaluate(model, read_answers(model, answers))
    document = json.dumps(result.to_json(), indent=2, ensure_ascii=False, sort_keys=True)
    if json_path is not None and str(json_path) == "-":
        return Outcome(document + "\n")
    if json_path is not None:
        json_path.write_text(document + "\n", encoding="utf-8")
    return Outcome(text_report(result))


def check(*, overlay_path: Path | None = None, model_path: Path | None = None) -> Outcome:
    """Every fault of the model, one a line."""
    model = model_of(model_path, overlay_path)
    problems = lint(model, answer_files() if model_path is None else ())
    if problems:
        return Outcome("\n".join(map(str, problems)) + "\n", FAULTS)
    asked = f"{len(model.questions)} questions, {len(model.knockouts)} knock-outs"
    return Outcome(f"{model.id} {model.version} ({model.hash}): no faults; {asked}\n")


def record(
    answers: Path,
    *,
    decision: str | None = None,
    date: str | None = None,
    overlay_path: Path | None = None,
    model_path: Path | None = None,
) -> Outcome:
    """A decision record (MADR 4) as Markdown: of one decision, or of all when None. `date` is an
    ISO date, today when None."""
    model = model_of(model_path, overlay_path)
    known = [d.id for d in model.decisions]
    if decision is not None and decision not in known:
        what = f"{decision!r} is not a decision; allowed: {', '.join(known)}"
        raise GuideError.at("--decision", what)
    result = evaluate(model, read_answers(model, answers))
    heading = Heading(date or datetime.date.today().isoformat())
    if decision is None:
        return Outcome(madr_combined(result, heading))
    return Outcome(madr(result, decision, heading))
