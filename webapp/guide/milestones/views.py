"""Milestones: keep one, list them, look at one again."""

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request, url_for

from decision_guide import GuideError, evaluate
from webapp import access
from webapp.db import session
from webapp.guide import decision_models
from webapp.guide.answering import sheet
from webapp.guide.milestones import forms, services
from webapp.guide.milestones.models import Milestone
from webapp.guide.results.words import Words

blueprint = Blueprint("guide_milestones", __name__, url_prefix="/guide/milestones")


def milestone_of(id: str) -> Milestone:
    """The milestone of an id, for an interviewer; 404 when there is none."""
    access.interviewer()
    return session().get(Milestone, id) or abort(404)


@blueprint.get("")
@access.interviewers_only
def index():
    return render_template("guide/milestones/index.html", milestones=services.listed(session()))


@blueprint.post("")
@access.interviewers_only
def keep():
    scoring, form = decision_models.requested(), forms.MilestoneForm()
    if not form.validate_on_submit():
        raise GuideError.at("name", " ".join(form.name.errors) or "cannot be read")
    result = evaluate(scoring.model, sheet.read(scoring.model, request.form).answers)
    by, company = access.interviewer(), scoring.company_id
    kept = services.keep(session(), by, form.name.data, result, company)
    return redirect(url_for("guide_milestones.show", milestone_id=kept.id), 303)


@blueprint.get("/<milestone_id>")
@access.interviewers_only
def show(milestone_id: str):
    kept = milestone_of(milestone_id)
    other = request.args.get("against")
    against = milestone_of(other) if other else None
    scoring = decision_models.of_company(kept.company_id)
    return render_template(
        "guide/milestones/show.html",
        kept=kept,
        against=against,
        later=services.later(session(), kept),
        again=services.again(scoring.model, kept, against),
        scoring=scoring,
        words=Words(scoring.model),
        answers_text=sheet.to_text(scoring.model, services.answers_of(scoring.model, kept)),
    )


@blueprint.route("/<milestone_id>/delete", methods=["GET", "POST"])
@access.interviewers_only
def delete(milestone_id: str):
    kept = milestone_of(milestone_id)
    if request.method == "POST":
        services.delete(session(), access.interviewer(), kept)
        flash(f"The milestone {kept.name} is deleted.", "success")
        return redirect(url_for("guide_milestones.index"))
    return render_template(
        "guide/delete.html",
        title=f"Delete the milestone {kept.name}?",
        lost=f"The result of {kept.title} as it was then, with its answers and notes, is deleted.",
        back=url_for("guide_milestones.show", milestone_id=kept.id),
    )


@blueprint.get("/<milestone_id>/result.json")
@access.interviewers_only
def document(milestone_id: str):
    answer = jsonify(milestone_of(milestone_id).document)
    answer.headers["Content-Disposition"] = 'attachment; filename="milestone-result.json"'
    return answer
