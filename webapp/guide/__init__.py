"""The decision guide's pages. The guide itself is the package decision_guide; nothing here decides.

Who only wants an answer needs no account, and nothing of theirs is stored: answers travel in the
form, in the browser's own storage, or in a link's fragment.
"""

from flask import Response

from decision_guide import CONFIDENCE, GuideError
from webapp.guide.answering.views import blueprint as answering
from webapp.guide.problems import page
from webapp.guide.results import words
from webapp.guide.results.views import blueprint as results

BLUEPRINTS = (answering, results)
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
    blueprint.after_request(let_the_browser_go_back)
