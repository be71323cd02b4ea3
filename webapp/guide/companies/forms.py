import re
from typing import Any

from flask_wtf import FlaskForm
from wtforms import RadioField, SelectMultipleField, TextAreaField
from wtforms.validators import DataRequired, Length, Regexp, ValidationError

from webapp.fields import LineField, one_line

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class CompanyForm(FlaskForm):
    organisation = LineField("Company", [DataRequired("Enter its name."), Length(max=100)])
    name = LineField(
        "Short name",
        [
            DataRequired("Enter a short name."),
            Length(max=30),
            Regexp(NAME.pattern + "$", message="Use small letters, digits, - and _ only."),
        ],
    )


class KnockoutForm(FlaskForm):
    """A knock-out of the company's own. `when` holds QUESTION=ANSWER: answers to one question are
    alternatives, different questions must all hold."""

    title = LineField("What is the case", [DataRequired("Say it in a sentence."), Length(max=120)])
    when = SelectMultipleField("When all of these hold", [DataRequired("Choose an answer.")])
    excludes = SelectMultipleField("It rules out", [DataRequired("Choose an option.")])
    kind = RadioField(
        "How",
        [DataRequired("Choose one.")],
        choices={"excluded": "Excluded", "blocked": "Blocked until something is done"},
    )
    mitigation = LineField("Until what is done", [Length(max=300)])
    why = TextAreaField("Why", [DataRequired("Say why."), Length(max=500)], filters=[one_line])

    def knockout(self) -> dict[str, Any]:
        """The knock-out as an overlay has it; its id comes later."""
        wanted: dict[str, list[str]] = {}
        for pair in self.when.data or []:
            question, _, answer = pair.partition("=")
            wanted.setdefault(question, []).append(answer)
        return {
            "title": self.title.data,
            "when": [wanted],
            "excludes": self.excludes.data,
            "kind": self.kind.data,
            "mitigation": self.mitigation.data or None,
            "why": self.why.data,
        }

    def validate_mitigation(self, field: LineField) -> None:
        if self.kind.data == "blocked" and not field.data:
            raise ValidationError("Say what lifts the block.")
