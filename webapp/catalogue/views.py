"""The challenges on offer, the home page, and whether we live."""

from flask import Blueprint, abort, jsonify, render_template
from sqlalchemy import text

from challenges import catalogue
from webapp import sessions
from webapp.catalogue.statement import to_html
from webapp.db import session

home = Blueprint("home", __name__)
blueprint = Blueprint("challenges", __name__, url_prefix="/challenges")
health = Blueprint("health", __name__)


def all_challenges():
    return [catalogue.load(name) for name in catalogue.names()]


@home.get("/")
def index():
    return render_template("home.html")


@blueprint.get("", endpoint="index")
def challenges():
    return render_template("challenges/index.html", challenges=all_challenges())


@blueprint.get("/<name>")
def show(name: str):
    if name not in catalogue.names():
        abort(404)
    challenge = catalogue.load(name)
    known = sessions.current_interviewer() is not None
    return render_template(
        "challenges/show.html",
        challenge=challenge,
        statement_html=to_html(challenge.statement),
        rubric_html=to_html(challenge.rubric) if known else None,
    )


@health.get("/healthz")
def check():
    session().execute(text("SELECT 1"))
    return jsonify(ok=True)
