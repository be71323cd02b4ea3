"""A page's form as answers, and answers as a page's form.

What was answered before travels in the hidden field `answers`, as the text of ANSWERS.json. The
fields of the questions on the page are named KIND.QUESTION; `shown` names these questions.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from werkzeug.datastructures import MultiDict

from decision_guide import (
    NOT_SURE,
    Answers,
    Given,
    GuideError,
    Model,
    documents,
    parse_answers,
)
from decision_guide.answers import (
    LARGEST_NUMBER,
    LONGEST_NOTE,
    LONGEST_TITLE,
    MEASURES,
    SMALLEST_MEASURE,
)
from decision_guide.model import Question
from webapp.fields import one_line

NOT_APPLICABLE = "does not apply"
NUMBER = re.compile(r"(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")


@dataclass(frozen=True)
class Fields:
    """What the fields of one question hold, as text. `choice` is the id of an answer, NOT_SURE,
    NOT_APPLICABLE, or empty; `error` says what is wrong with them and what to do."""

    choice: str = ""
    number: str = ""
    reason: str = ""
    note: str = ""
    assumed: bool = False
    error: str = ""


@dataclass(frozen=True)
class Sheet:
    """Everything answered so far, and the fields that could not be read, by question or measure."""

    answers: Answers = field(default_factory=Answers)
    refused: Mapping[str, Fields] = field(default_factory=dict)

    def fields(self, question: Question) -> Fields:
        """What the question's fields show."""
        given = self.answers.given.get(question.id)
        return self.refused.get(question.id) or written(question, given)


def read(model: Model, form: MultiDict[str, str], before: Answers | None = None) -> Sheet:
    """What a form says, with the answers from `before` where its hidden field is not used.

    Raises GuideError when the form was tampered with."""
    answers = before or from_text(model, form.get("answers") or '{"answers": {}}')
    if "title" in form:
        answers = replace(answers, title=one_line(form["title"])[:LONGEST_TITLE])
    sheet = Sheet(answers)
    for id in form.getlist("shown"):
        sheet = _with_question(model, sheet, id, typed(form, id))
    for name in MEASURES:
        if f"measure.{name}" in form:
            sheet = _with_measure(sheet, name, form[f"measure.{name}"].strip())
    return sheet


def from_text(model: Model, text: str) -> Answers:
    """The answers in the text of an ANSWERS.json; GuideError says what is wrong with it."""
    return parse_answers(model, documents.parse(text))


def to_text(model: Model, answers: Answers) -> str:
    """What `from_text` reads back."""
    return json.dumps(answers.to_json(model), ensure_ascii=False)


def typed(form: Mapping[str, str], id: str) -> Fields:
    """The fields of one question as they were sent."""
    return Fields(
        choice=form.get(f"choice.{id}", ""),
        number=form.get(f"number.{id}", "").strip(),
        reason=form.get(f"reason.{id}", ""),
        note=one_line(form.get(f"note.{id}", ""))[:LONGEST_NOTE],
        assumed=f"assumed.{id}" in form,
    )


def written(question: Question, given: Given | None) -> Fields:
    """The fields that say what was answered."""
    if given is None:
        return Fields()
    if given.reason is not None:
        choice = NOT_APPLICABLE
    else:
        choice = NOT_SURE if given.level is None else question.answers[given.level].id
    number = "" if given.number is None else number_text(given.number)
    return Fields(choice, number, given.reason or "", given.note, given.assumed)


def value_of(question: Question, fields: Fields) -> Any:
    """What stands for these fields in ANSWERS.json, None when nothing was answered.

    Raises ValueError with what to do about them."""
    marks = {"note": fields.note, "assumed": fields.assumed}
    if fields.choice == NOT_APPLICABLE:
        if not fields.reason:
            raise ValueError("Choose why it does not apply.")
        return {"does_not_apply": fields.reason, **marks}
    number = number_of(question, fields)
    if number is None and not fields.choice:
        if fields.note:
            raise ValueError("A note needs an answer. Choose one; 'not sure' is one, too.")
        return None
    return {"value": fields.choice if number is None else number, **marks}


def number_of(question: Question, fields: Fields) -> float | None:
    """The number typed for the question; None when there is none. Raises ValueError."""
    if question.unit is None or not fields.number:
        return None
    number = plain_number(fields.number)
    if fields.choice not in ("", question.answers[question.at(number)].id):
        raise ValueError(
            f"{fields.number} is not in the range you chose. Clear the number, or choose its range."
        )
    return number


def plain_number(text: str) -> float:
    """A number as people write it, such as 80, 0.5 or 12,000. Raises ValueError."""
    if not NUMBER.fullmatch(text):
        raise ValueError("Write a number of 0 or more, such as 80 or 0.5.")
    number = float(text.replace(",", ""))
    if number > LARGEST_NUMBER:
        raise ValueError(f"Write a number of at most {LARGEST_NUMBER:,.0f}.")
    return int(number) if number.is_integer() else number


def number_text(number: float) -> str:
    """What `plain_number` reads back to the same number."""
    return f"{Decimal(str(number)).normalize():f}"


def _with_question(model: Model, sheet: Sheet, id: str, fields: Fields) -> Sheet:
    question = next((q for q in model.questions if q.id == id), None)
    if question is None:
        raise GuideError.at(f"shown={id}", "there is no such question")
    given = {other: g for other, g in sheet.answers.given.items() if other != id}
    refused = dict(sheet.refused)
    try:
        value = value_of(question, fields)
    except ValueError as error:
        refused[id] = replace(fields, error=str(error))
    else:
        if value is not None:
            given |= parse_answers(model, {"answers": {id: value}}).given
    return Sheet(replace(sheet.answers, given=given), refused)


def _with_measure(sheet: Sheet, name: str, text: str) -> Sheet:
    measures = {other: m for other, m in sheet.answers.measures.items() if other != name}
    refused = dict(sheet.refused)
    try:
        number = plain_number(text) if text else 0
    except ValueError as error:
        refused[name] = Fields(number=text, error=str(error))
    else:
        measures |= {name: max(number, SMALLEST_MEASURE)} if number else {}
    return Sheet(replace(sheet.answers, measures=measures), refused)
