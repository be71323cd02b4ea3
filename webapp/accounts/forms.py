from flask_wtf import FlaskForm
from wtforms import PasswordField
from wtforms.validators import DataRequired, InputRequired, Length

from webapp.fields import AddressField


class LoginForm(FlaskForm):
    email = AddressField("E-mail", [DataRequired("Enter your e-mail."), Length(max=254)])
    password = PasswordField("Password", [InputRequired("Enter your password."), Length(max=256)])
