from flask_wtf import FlaskForm
from wtforms.validators import DataRequired, Length

from webapp.fields import LineField


class MilestoneForm(FlaskForm):
    name = LineField("Name of the milestone", [DataRequired("Give it a name."), Length(max=60)])
