from flask_wtf import FlaskForm
from wtforms import SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from webapp.fields import LineField, one_line
from webapp.guide.team.models import FEWEST_RATERS

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

    def validate_raters(self, field: StringField) -> None:
        names = names_in(field.data)
        if not FEWEST_RATERS <= len(names) <= MOST_RATERS:
            raise ValidationError(f"Enter {FEWEST_RATERS} to {MOST_RATERS} different names.")
        if any(len(name) > LONGEST_NAME for name in names):
            raise ValidationError(f"A name has at most {LONGEST_NAME} characters.")


class RaterForm(FlaskForm):
    name = LineField("Name", [DataRequired("Enter a name."), Length(max=LONGEST_NAME)])


class SettleForm(FlaskForm):
    question = StringField(validators=[DataRequired()])
    value = StringField("The team's answer", [DataRequired("Choose an answer.")])
    note = LineField("Why", [DataRequired("Say why, for the record."), Length(max=300)])
