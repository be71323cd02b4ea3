from flask_wtf import FlaskForm
from wtforms import IntegerField, SelectField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional

from webapp.fields import AddressField, LineField


class InviteForm(FlaskForm):
    candidate_name = LineField("Candidate's name", [DataRequired("Enter a name."), Length(max=100)])
    candidate_email = AddressField(
        "Candidate's e-mail", [DataRequired("Enter an e-mail."), Length(max=254)]
    )
    challenge = SelectField("Challenge")
    expires_days = IntegerField(
        "Link valid for (days)",
        [InputRequired("Enter a number of days."), NumberRange(1, 90)],
        default=14,
    )
    minutes = IntegerField(
        "Time limit (minutes; empty for none)", [Optional(), NumberRange(5, 7 * 24 * 60)]
    )
