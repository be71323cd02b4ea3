"""The guide's blueprints, with what all their pages share."""

from flask import Response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import NotFound

from decision_guide import CONFIDENCE, GuideError
from webapp import db
from webapp.errors import json_error, stale_form, wants_json
from webapp.guide import limits
from webapp.guide.answering.sheet import number_text
from webapp.guide.answering.views import blueprint as answering
from webapp.guide.companies.views import blueprint as companies
from webapp.guide.milestones.views import blueprint as milestones
from webapp.guide.problems import page
from webapp.guide.results import words
from webapp.guide.results.views import blueprint as results
from webapp.guide.team.views import blueprint as team

OPEN = (answering, results)
WITHOUT_ACCOUNT = (*OPEN, team)
BLUEPRINTS = (*WITHOUT_ACCOUNT, milestones, companies)
GONE = {
    "guide_team": "The link is cut off, or the team's answers were deleted, or you are not asked "
    "any more. Ask who sent you the link for a new one.",
}
DELETED = "It may have been deleted, or the address is cut off."
NAMES = {
    "letters": CONFIDENCE,
    "why_not": words.WHY_NOT,
    "patterns": words.PATTERNS,
    "measures": words.MEASURES,
    "effort": words.EFFORT,
    "number_text": number_text,
}


def let_the_browser_go_back(response: Response) -> Response:
    """These pages hold what their reader typed, so Back may show them again without asking."""
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def gone(_: NotFound):
    """What is said about something that is not there; what was sent along can be taken away."""
    db.rollback()
    message = GONE.get(request.blueprint or "", DELETED)
    if wants_json():
        return json_error(404, "not-found", message)
    return render_template("guide/gone.html", message=message), 404


def out_of_date(error: CSRFError):
    """A form from a session that has ended. Nothing here changes anything, so it may be sent again
    as it is."""
    if wants_json():
        return stale_form(error)
    title, message = "This page is out of date", "Your session has changed since it was opened."
    return render_template("guide/again.html", title=title, message=message), 400


for blueprint in BLUEPRINTS:
    blueprint.register_error_handler(GuideError, page)
    blueprint.register_error_handler(NotFound, gone)
    blueprint.context_processor(lambda: NAMES)
for blueprint in OPEN:
    blueprint.register_error_handler(CSRFError, out_of_date)
    blueprint.after_request(let_the_browser_go_back)
for blueprint in WITHOUT_ACCOUNT:
    blueprint.record_once(limits.init)
    blueprint.before_request(limits.refuse_haste)
