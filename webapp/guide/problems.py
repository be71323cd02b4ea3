"""What is wrong with a file, a link or a form: each place, and what is allowed there."""

from flask import render_template

from decision_guide import GuideError
from webapp import db
from webapp.errors import json_error, wants_json


def page(error: GuideError):
    """The answer to a request with something in it that the guide cannot read."""
    db.rollback()
    problems = [{"path": p.path, "message": p.message} for p in error.problems]
    if wants_json():
        return json_error(400, "guide", "This cannot be read", problems=problems)
    return render_template("guide/problems.html", problems=problems), 400
