from flask_wtf import FlaskForm
from wtforms import HiddenField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, Regexp, ValidationError

from webapp.db import new_id
from webapp.fields import LineField, one_line
from webapp.guide.team.models import FEWEST_RATERS

NOT_APPLICABLE = "does not apply: "
MOST_RATERS, LONGEST_NAME = 30, 60


def names_in(text: str | None) -> list[str]:
    """The names in a text, one a line; each once."""
    return list(
        dict.fromkeys(name for line in (text or "").splitlines() if (name := one_line(line)))
    )


class AssessmentForm(FlaskForm):
    title = LineField(
        "What does the team decide about?", [DataRequired("Enter a title."), Length(max=120)]
    )
    raters = TextAreaField("Who answers? One name a line", [DataRequired("Enter the names.")])
    company_id = SelectField("Score with", default="")
    key = HiddenField(default=new_id, validators=[Regexp(r"[0-9a-f]{24}$")])

    def validate_raters(self, field: StringField) -> None:
        names = names_in(field.data)
        if not FEWEST_RATERS <= len(names) <= MOST_RATERS:
            raise ValidationError(f"Enter {FEWEST_RATERS} to {MOST_RATERS} different names.")
        if any(len(name) > LONGEST_NAME for name in names):
            raise ValidationError(f"A name has at most {LONGEST_NAME} characters.")


class RaterForm(FlaskForm):
    name = LineField("Name", [DataRequired("Enter a name."), Length(max=LONGEST_NAME)])


class SettleForm(FlaskForm):
    """`value` is the id of an answer, "not sure", or NOT_APPLICABLE and a reason."""

    question = StringField(validators=[DataRequired()])
    value = StringField("The team's answer", [DataRequired("Choose an answer.")])
    note = LineField("Why", [DataRequired("Say why, for the record."), Length(max=300)])

    def word(self) -> dict[str, str]:
        """What was settled, as in ANSWERS.json."""
        value = self.value.data or ""
        reason = value.removeprefix(NOT_APPLICABLE)
        said = {"value": value} if reason == value else {"does_not_apply": reason}
        return {**said, "note": self.note.data or ""}
