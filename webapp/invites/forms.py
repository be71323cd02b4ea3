from flask_wtf import FlaskForm
from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length


class AcceptForm(FlaskForm):
    name = StringField("Your name", [InputRequired("Enter your name."), Length(max=100)])
    accept = BooleanField(
        "I have read what is stored about me", [InputRequired("Tick this to begin.")]
    )
