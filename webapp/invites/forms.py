from collections.abc import Sequence

from flask_wtf import FlaskForm
from wtforms import BooleanField, SelectField
from wtforms.validators import DataRequired, InputRequired, Length

from sandbox.runtimes import get_runtime
from webapp.fields import LineField
from webapp.invites.models import Invite


class AcceptForm(FlaskForm):
    name = LineField("Your name", [DataRequired("Enter your name."), Length(max=100)])
    language = SelectField("Language")
    accept = BooleanField(
        "I have read what is stored about me", [InputRequired("Tick this to begin.")]
    )

    @classmethod
    def about(cls, invite: Invite, languages: Sequence[str]) -> "AcceptForm":
        """The form of an invite to a challenge in these languages; the first one is chosen."""
        form = cls(name=invite.candidate_name, language=languages[0])
        form.language.choices = [(each, get_runtime(each).title) for each in languages]
        return form
