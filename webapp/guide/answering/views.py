"""The way to a result: the start, the questions, and the strip that goes along with them."""

from flask import Blueprint, jsonify, redirect, render_template, request, url_for

from decision_guide import encode
from webapp.guide import decision_models
from webapp.guide.answering import passes, sheet
from webapp.guide.answering.strip import strip
from webapp.guide.decision_models import Scoring

blueprint = Blueprint("guide", __name__, url_prefix="/guide")


@blueprint.get("")
def start():
    return render_template("guide/start.html", scoring=decision_models.requested())


@blueprint.route("/questions", methods=["GET", "POST"])
def questions():
    scoring = decision_models.requested()
    filled = sheet.read(scoring.model, request.form)
    turn = passes.turn(scoring.model, filled.answers, request.values)
    if turn is None and not filled.refused:
        return redirect(url_for("guide_results.show"), 307)
    return questions_page(scoring, filled, turn)


def questions_page(scoring: Scoring, filled: sheet.Sheet, turn: passes.Turn | None = None):
    """The page of questions. What could not be read is shown again before anything else."""
    model, way = scoring.model, passes.chosen(request.values)
    if turn is None or filled.refused:
        turn = passes.at(model, filled.answers, way, next(iter(filled.refused)))
    return render_template(
        "guide/questions.html",
        scoring=scoring,
        sheet=filled,
        turn=turn,
        strip=strip(model, filled.answers),
        permalink=encode(model, filled.answers),
        answers_text=sheet.to_text(model, filled.answers),
    )


@blueprint.post("/strip")
def live():
    model = decision_models.requested().model
    answers = sheet.read(model, request.form).answers
    return jsonify(
        permalink=encode(model, answers),
        strip=strip(model, answers).to_json(),
    )
