"""The guide's blueprints, with what all their pages share."""

from flask import Response

from decision_guide import CONFIDENCE, GuideError
from webapp.guide.answering.views import blueprint as answering
from webapp.guide.companies.views import blueprint as companies
from webapp.guide.milestones.views import blueprint as milestones
from webapp.guide.problems import page
from webapp.guide.results import words
from webapp.guide.results.views import blueprint as results
from webapp.guide.team.views import blueprint as team

OPEN = (answering, results)
BLUEPRINTS = (*OPEN, team, milestones, companies)
NAMES = {
    "letters": CONFIDENCE,
    "why_not": words.WHY_NOT,
    "patterns": words.PATTERNS,
    "measures": words.MEASURES,
}


def let_the_browser_go_back(response: Response) -> Response:
    """These pages hold what their reader typed, so Back may show them again without asking."""
    response.headers["Cache-Control"] = "private, no-cache"
    return response


for blueprint in BLUEPRINTS:
    blueprint.register_error_handler(GuideError, page)
    blueprint.context_processor(lambda: NAMES)
for blueprint in OPEN:
    blueprint.after_request(let_the_browser_go_back)
