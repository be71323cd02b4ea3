"""The result, its files, and two sets of answers side by side."""

from flask import Blueprint, Response, abort, render_template, request

from decision_guide import Heading, encode, evaluate
from webapp.db import utc_now
from webapp.fields import one_line
from webapp.guide import brought, decision_models
from webapp.guide.answering import sheet
from webapp.guide.answering.views import questions_page
from webapp.guide.decision_models import Scoring
from webapp.guide.results import charts, downloads, words
from webapp.guide.results.comparing import side_by_side

blueprint = Blueprint("guide_results", __name__, url_prefix="/guide")


@blueprint.route("/result", methods=["GET", "POST"])
def show():
    scoring = decision_models.requested()
    if request.method == "GET":
        return render_template("guide/link.html", scoring=scoring)
    filled = sheet.read(scoring.model, request.form)
    if any(id in filled.refused for id in request.form.getlist("shown")):
        return questions_page(scoring, filled)
    return result_page(scoring, filled)


@blueprint.post("/open")
def open_answers():
    scoring = decision_models.requested()
    return result_page(scoring, sheet.Sheet(brought.read(scoring.model).answers))


def result_page(scoring: Scoring, filled: sheet.Sheet):
    """The page about the answers of a sheet."""
    model, answers = scoring.model, filled.answers
    result = evaluate(model, answers)
    return render_template(
        "guide/result.html",
        scoring=scoring,
        sheet=filled,
        result=result,
        words=words.Words(model),
        charts=charts,
        consulted=request.form.get("consulted", ""),
        opened=words.least_sure(result),
        sources=words.cited(result),
        permalink=encode(model, answers),
        today=utc_now(),
        answers_text=sheet.to_text(model, answers),
    )


@blueprint.route("/compare", methods=["GET", "POST"])
def compare():
    scoring = decision_models.requested()
    model, own = scoring.model, request.form.get("answers", "")
    if "link_after" not in request.form:
        return render_template("guide/compare.html", scoring=scoring, answers_text=own)
    first = brought.Brought(sheet.from_text(model, own)) if own else brought.read(model, "_before")
    second = brought.read(model, "_after")
    both = side_by_side(model, first.answers, second.answers, first.result)
    return render_template(
        "guide/compared.html", scoring=scoring, both=both, words=words.Words(model)
    )


@blueprint.post("/files/<kind>")
def download(kind: str) -> Response:
    wanted = downloads.DOWNLOADS.get(kind) or abort(404)
    scoring = decision_models.requested()
    result = evaluate(scoring.model, sheet.read(scoring.model, request.form).answers)
    name = downloads.file_name(result, wanted)
    return Response(
        wanted.content(result, heading()),
        mimetype=wanted.mimetype,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def heading() -> Heading:
    """What a decision record says beside its result: today, and the people that were named."""
    people = {
        role: [name for part in request.form.get(role, "").split(",") if (name := one_line(part))]
        for role in ("decision_makers", "consulted")
    }
    return Heading(utc_now().date().isoformat(), **people)
