from flask_wtf import FlaskForm
from wtforms import EmailField, IntegerField, SelectField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional


class InviteForm(FlaskForm):
    candidate_name = StringField(
        "Candidate's name", [InputRequired("Enter a name."), Length(max=100)]
    )
    candidate_email = EmailField(
        "Candidate's e-mail", [InputRequired("Enter an e-mail."), Length(max=254)]
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
