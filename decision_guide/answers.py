"""One set of answers: read from ANSWERS.json, kept by name, turned into numbers for scoring.

The format of the file is documented in docs/decision-guide.md.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from decision_guide import documents
from decision_guide.conditions import NOT_APPLICABLE, UNKNOWN, may_hold
from decision_guide.errors import GuideError, Problem, shortened
from decision_guide.model import Model, Question

FORMAT = "offsetzero-guide-answers/1"
NOT_SURE = "not sure"
REASONS = ("out-of-scope", "business-priorities", "architecture-constraints", "other")
MEASURES = ("message_kib", "producer_mib_s", "consumer_mib_s")
LONGEST_TITLE, LONGEST_NOTE = 200, 1_000
LARGEST_NUMBER = 1e12
SMALLEST_MEASURE = 1e-3
_MOST_ENTRIES = 200
_KEYS = ("format", "model", "title", "answers", "measures")


@dataclass(frozen=True)
class Given:
    """What was said to one question.

    `level` is the index of the answer, None for "not sure" and for "does not apply", which has a
    `reason`. `number` is the figure behind the level, where one was given. `assumed` marks what
    was filled in from elsewhere and not yet confirmed."""

    level: int | None = None
    number: float | None = None
    reason: str | None = None
    note: str = ""
    assumed: bool = False

    @property
    def not_sure(self) -> bool:
        return self.level is None and self.reason is None


@dataclass(frozen=True)
class Answers:
    """Answers by question id. A question that is missing has not been answered: it is scored as
    "not sure" is, over all its answers. `notices` tell what was changed when an older file was
    carried over to this model."""

    given: Mapping[str, Given] = field(default_factory=dict)
    title: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def having(self, question: str, given: Given) -> "Answers":
        """These answers with one of them replaced."""
        return replace(self, given={**self.given, question: given})

    def to_json(self, model: Model) -> dict[str, Any]:
        """The document that parse_answers reads back to the same answers."""
        questions = {q.id: q for q in model.questions}
        document: dict[str, Any] = {
            "format": FORMAT,
            "model": f"{model.id}@{model.version}",
            "title": self.title,
            "answers": {id: _written(questions[id], g) for id, g in self.given.items()},
        }
        return {**document, **({"measures": dict(self.measures)} if self.measures else {})}

    def hash(self, model: Model) -> str:
        """The answers' name by content; title, notes and marks left out."""
        plain = {
            id: g.reason
            or (NOT_SURE if g.level is None else model.questions[q].answers[g.level].id)
            for q, id in enumerate(q.id for q in model.questions)
            if (g := self.given.get(id)) is not None
        }
        return documents.digest([plain, dict(self.measures)])


def levels_of(model: Model, answers: Answers) -> np.ndarray:
    """[questions] the answer's index, or conditions.UNKNOWN, or conditions.NOT_APPLICABLE."""
    return np.array([_level(answers.given.get(q.id)) for q in model.questions])


def _level(given: Given | None) -> int:
    if given is None or given.not_sure:
        return UNKNOWN
    return NOT_APPLICABLE if given.level is None else given.level


def as_asked(model: Model, levels: np.ndarray) -> np.ndarray:
    """`levels` [N, questions] with the implied answer wherever a question is not asked."""
    levels = levels.copy(order="K")
    for q, question in enumerate(model.questions):
        if question.visible_if is not None and question.otherwise is not None:
            hidden = ~may_hold(question.visible_if, levels)
            levels[hidden, q] = question.otherwise
    return levels


def is_asked(model: Model, answers: Answers) -> tuple[bool, ...]:
    """For each question whether it is asked, given the other answers."""
    levels = as_asked(model, levels_of(model, answers)[None, :])
    return tuple(
        q.visible_if is None or bool(may_hold(q.visible_if, levels)[0]) for q in model.questions
    )


def parse_answers(model: Model, document: Any) -> Answers:
    """The answers in a document made for this model, or carried over from an older version of it.

    Raises GuideError with the JSON path of everything wrong and the values allowed there."""
    if not isinstance(document, dict):
        raise GuideError.at("$", 'must be an object such as {"answers": {"replay": "none"}}')
    document, notices = _carried_over(model, document)
    problems, said = list(_problems_of_envelope(model, document)), _mapping(document, "answers")
    if len(said) > _MOST_ENTRIES:
        raise GuideError.at("$.answers", f"has {len(said):,} entries; there are fewer questions")
    given = {}
    for id, value in said.items():
        try:
            given[id] = _given(model, id, value)
        except GuideError as error:
            problems += error.problems
    if problems:
        raise GuideError(problems)
    measures = document.get("measures", {})
    return Answers(given, one_line(document.get("title", "")), measures, tuple(notices))


def _mapping(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key, {})
    return value if isinstance(value, dict) else {}


def _problems_of_envelope(model: Model, document: dict[str, Any]) -> Iterable[Problem]:
    for key in document.keys() - set(_KEYS):
        yield Problem(f"$.{key}", f"is not a key of this file. Allowed: {', '.join(_KEYS)}")
    if document.get("format", FORMAT) != FORMAT:
        yield Problem("$.format", f"must be {json.dumps(FORMAT)}")
    if not _is_text(document.get("title", ""), LONGEST_TITLE):
        yield Problem("$.title", f"must be text of at most {LONGEST_TITLE} characters")
    if _family(str(document.get("model", model.id))) != _family(model.id):
        yield Problem("$.model", f"these answers are for another model; this one is {model.id!r}")
    if "answers" not in document:
        yield Problem("$.answers", "is missing: an object from question id to answer")
    for key in ("answers", "measures"):
        if not isinstance(document.get(key, {}), dict):
            yield Problem(f"$.{key}", "must be an object")
    for name, value in _mapping(document, "measures").items():
        if name not in MEASURES:
            yield Problem(f"$.measures.{name}", f"is unknown. Allowed: {', '.join(MEASURES)}")
        elif not _is_number(value) or value < SMALLEST_MEASURE:
            allowed = f"must be a number from {SMALLEST_MEASURE:g} to {LARGEST_NUMBER:g}"
            yield Problem(f"$.measures.{name}", allowed)


def _family(model: str) -> str:
    """The id of the model that asks the questions: a company's overlay ("eda-fit+acme@1.0.0") asks
    the same ones."""
    return model.partition("@")[0].partition("+")[0]


def _given(model: Model, id: str, value: Any) -> Given:
    path = f"$.answers.{id}"
    question = next((q for q in model.questions if q.id == id), None)
    if question is None:
        raise GuideError.at(path, _unknown_question(model, id))
    if not isinstance(value, dict):
        return _plain(question, value, path)
    if extra := value.keys() - {"value", "does_not_apply", "note", "assumed"}:
        allowed = '"value" or "does_not_apply", and "note", "assumed"'
        raise GuideError.at(f"{path}.{min(extra)}", f"is not a key here. Allowed: {allowed}")
    note, assumed = value.get("note", ""), value.get("assumed", False)
    if not _is_text(note, LONGEST_NOTE):
        raise GuideError.at(f"{path}.note", f"must be text of at most {LONGEST_NOTE} characters")
    if not isinstance(assumed, bool):
        raise GuideError.at(f"{path}.assumed", "must be true or false")
    marks: dict[str, Any] = {"note": one_line(note), "assumed": assumed}
    if ("value" in value) == ("does_not_apply" in value):
        raise GuideError.at(path, 'must have either "value" or "does_not_apply"')
    if "value" in value:
        return replace(_plain(question, value["value"], f"{path}.value"), **marks)
    if value["does_not_apply"] not in REASONS:
        allowed = ", ".join(map(json.dumps, REASONS))
        raise GuideError.at(f"{path}.does_not_apply", f"must be a reason. Allowed: {allowed}")
    return Given(reason=value["does_not_apply"], **marks)


def _plain(question: Question, value: Any, path: str) -> Given:
    if value == NOT_SURE:
        return Given()
    if question.unit is not None and _is_number(value):
        return Given(level=question.at(value), number=value)
    ids = [a.id for a in question.answers]
    if value not in ids:
        raise GuideError.at(path, f"{_quoted(value)} is not an answer. {allowed_values(question)}")
    return Given(level=ids.index(value))


def allowed_values(question: Question) -> str:
    """Everything that may stand as an answer to the question, for an error message."""
    words = [json.dumps(a.id) for a in question.answers] + [json.dumps(NOT_SURE)]
    if question.unit is not None:
        words.append(f"a number of 0 or more ({question.unit})")
    words.append('{"does_not_apply": REASON}')
    return "Allowed: " + ", ".join(words)


def _unknown_question(model: Model, id: str) -> str:
    ids = [q.id for q in model.questions]
    close = difflib.get_close_matches(id[:80], ids, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"there is no such question. {hint}Allowed: {', '.join(ids)}"


def one_line(text: str) -> str:
    """The text without line breaks, control characters and needless spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest


def _is_number(value: Any) -> bool:
    kind = isinstance(value, int | float) and not isinstance(value, bool)
    return kind and 0 <= value <= LARGEST_NUMBER


def _quoted(value: Any) -> str:
    return shortened(json.dumps(value), 80)


def _written(question: Question, given: Given) -> Any:
    value: Any = NOT_SURE if given.level is None else question.answers[given.level].id
    if given.number is not None:
        value = given.number
    marks: dict[str, Any] = {"note": given.note} if given.note else {}
    if given.assumed:
        marks["assumed"] = True
    if given.reason is not None:
        return {"does_not_apply": given.reason, **marks}
    return {"value": value, **marks} if marks else value


def _carried_over(model: Model, document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A document of another version of this model in this version's names, and what changed."""
    id, _, version = str(document.get("model", "")).partition("@")
    if id != model.id or version in ("", model.version):
        return document, []
    notices: list[str] = []
    renamed = {old: q for q in model.questions for old in (q.id, *q.formerly)}
    carried = {}
    for old, value in _mapping(document, "answers").items():
        question = renamed.get(old)
        if question is None:
            notices.append(f"{old}: no longer asked, left out")
        else:
            carried[question.id] = _carried_value(question, value, notices)
    return {**document, "answers": carried}, notices


def _carried_value(question: Question, value: Any, notices: list[str]) -> Any:
    if isinstance(value, dict) and "value" in value:
        return {**value, "value": _carried_value(question, value["value"], notices)}
    renamed = {old: a.id for a in question.answers for old in (a.id, *a.formerly)}
    if not isinstance(value, str) or value == NOT_SURE:
        return value
    if value not in renamed:
        notices.append(f"{question.id}: {value!r} is no longer an answer, taken as not sure")
    return renamed.get(value, NOT_SURE)
