from flask_wtf import FlaskForm
from wtforms import BooleanField
from wtforms.validators import DataRequired, InputRequired, Length

from webapp.fields import LineField


class AcceptForm(FlaskForm):
    name = LineField("Your name", [DataRequired("Enter your name."), Length(max=100)])
    accept = BooleanField(
        "I have read what is stored about me", [InputRequired("Tick this to begin.")]
    )
