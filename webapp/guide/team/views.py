"""Team assessments: the list, the facilitator's page, and each rater's."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for

from decision_guide import Model
from webapp import access
from webapp.db import rollback, session
from webapp.guide import decision_models, links
from webapp.guide.answering import passes, sheet
from webapp.guide.companies import services as companies
from webapp.guide.results import words
from webapp.guide.team import forms, services
from webapp.guide.team.models import Assessment, Rater
from webapp.retention import RETENTION_DAYS

blueprint = Blueprint("guide_team", __name__, url_prefix="/guide")
SUBMIT = "submit"


def assessment_of(token: str) -> Assessment:
    """The assessment of a facilitator's link; 404 when there is none."""
    id = links.id_of(links.FACILITATOR, token)
    return (id and session().get(Assessment, id)) or abort(404)


def rater_of(token: str) -> Rater:
    """The rater of a link; 404 when there is none, or not any more."""
    id = links.id_of(links.RATER, token)
    return (id and session().get(Rater, id)) or abort(404)


def facilitators_page(token: str):
    return redirect(url_for("guide_team.facilitate", team_token=token))


@blueprint.errorhandler(services.NotNow)
def not_now(problem: services.NotNow):
    rollback()
    flash(str(problem), "warning")
    rating = request.endpoint == "guide_team.keep_ratings"
    back = "guide_team.rate" if rating else "guide_team.facilitate"
    tokens = {name: token for name, token in request.view_args.items() if name != "rater_id"}
    return redirect(url_for(back, **tokens))


@blueprint.route("/team", methods=["GET", "POST"])
@access.interviewers_only
def index():
    form = forms.AssessmentForm()
    form.company_id.choices = companies.choices(session())
    if form.validate_on_submit():
        names, company = forms.names_in(form.raters.data), form.company_id.data or None
        by = access.interviewer()
        made = services.create(session(), by, form.title.data, names, company, form.key.data)
        return facilitators_page(links.token(links.FACILITATOR, made.id))
    return render_template(
        "guide/team/index.html",
        form=form,
        assessments=services.listed(session()),
        token_of=lambda assessment: links.token(links.FACILITATOR, assessment.id),
    )


@blueprint.get("/team/<team_token>")
def facilitate(team_token: str):
    assessment = assessment_of(team_token)
    scoring = decision_models.of_company(assessment.company_id)
    shown = {
        "assessment": assessment,
        "scoring": scoring,
        "words": words.Words(scoring.model),
        "retention_days": RETENTION_DAYS,
    }
    if not assessment.revealed:
        return render_template(
            "guide/team/waiting.html",
            form=forms.RaterForm(),
            token_of=lambda rater: links.token(links.RATER, rater.id),
            **shown,
        )
    return render_template(
        "guide/team/revealed.html", form=forms.SettleForm(), **shown, **revealed(assessment)
    )


def revealed(assessment: Assessment) -> dict:
    """What a page shows about an assessment that everybody has answered."""
    model = decision_models.of_company(assessment.company_id).model
    found = services.reveal(model, assessment)
    return {
        "review": found.review,
        "agreed": found.agreed,
        "answers_text": sheet.to_text(model, found.agreed),
    }


@blueprint.post("/team/<team_token>/raters")
def add_rater(team_token: str):
    form = forms.RaterForm()
    if not form.validate_on_submit():
        raise services.NotNow(" ".join(form.name.errors))
    services.add_rater(session(), assessment_of(team_token), form.name.data)
    return facilitators_page(team_token)


@blueprint.post("/team/<team_token>/raters/<int:rater_id>/remove")
def remove_rater(team_token: str, rater_id: int):
    services.remove_rater(session(), assessment_of(team_token), rater_id)
    return facilitators_page(team_token)


@blueprint.post("/team/<team_token>/settle")
def settle(team_token: str):
    form, assessment = forms.SettleForm(), assessment_of(team_token)
    if not form.validate_on_submit():
        raise services.NotNow(" ".join(text for texts in form.errors.values() for text in texts))
    model = decision_models.of_company(assessment.company_id).model
    question = form.question.data
    services.settle_question(session(), model, assessment, question, form.word())
    page = url_for("guide_team.facilitate", team_token=team_token, _anchor=f"q-{question}")
    return redirect(page)


@blueprint.route("/team/<team_token>/delete", methods=["GET", "POST"])
@access.interviewers_only
def delete(team_token: str):
    assessment = assessment_of(team_token)
    if request.method == "POST":
        services.delete(session(), access.interviewer(), assessment)
        flash(f"The team assessment {assessment.title} is deleted.", "success")
        return redirect(url_for("guide_team.index"))
    return render_template(
        "guide/delete.html",
        title=f"Delete the team assessment {assessment.title}?",
        lost=f"The answers of {len(assessment.raters)} people are deleted, and their links stop "
        "working.",
        back=url_for("guide_team.facilitate", team_token=team_token),
    )


@blueprint.get("/rate/<rater_token>")
def rate(rater_token: str):
    rater = rater_of(rater_token)
    if rater.submitted_at:
        return after_rating(rater)
    model = decision_models.of_company(rater.assessment.company_id).model
    return raters_page(rater, model, sheet.Sheet(services.answers_of(model, rater)))


@blueprint.post("/rate/<rater_token>")
def keep_ratings(rater_token: str):
    rater = rater_of(rater_token)
    model = decision_models.of_company(rater.assessment.company_id).model
    filled = sheet.read(model, request.form, services.answers_of(model, rater))
    final = request.form.get("go") == SUBMIT and not filled.refused
    services.keep(session(), model, rater, filled.answers, final=final)
    if filled.refused:
        return raters_page(rater, model, filled)
    turn = raters_turn(model, filled)
    at = turn.shown[0].id if turn.way.layout == passes.ONE else None
    shown = {"layout": turn.way.layout, "go": at}
    return redirect(url_for("guide_team.rate", rater_token=rater_token, **shown), 303)


def raters_page(rater: Rater, model: Model, filled: sheet.Sheet):
    """The questions, for a rater to answer alone."""
    turn = raters_turn(model, filled)
    return render_template(
        "guide/team/rate.html",
        rater=rater,
        sheet=filled,
        turn=turn,
        retention_days=RETENTION_DAYS,
    )


def raters_turn(model: Model, filled: sheet.Sheet) -> passes.Turn:
    """What a rater sees next; at the end all questions, to look over before they are handed in."""
    answers, form = filled.answers, request.values
    if filled.refused:
        return passes.at(model, answers, passes.chosen(form), next(iter(filled.refused)))
    everything = passes.Pass(layout=passes.ALL)
    return passes.turn(model, answers, form) or passes.at(model, answers, everything, "")


def after_rating(rater: Rater):
    """What a rater sees who has answered: who is missing, then what everybody said."""
    assessment = rater.assessment
    scoring = decision_models.of_company(assessment.company_id)
    shown = {"rater": rater, "assessment": assessment, "words": words.Words(scoring.model)}
    if not assessment.revealed:
        return render_template("guide/team/rated.html", **shown)
    return render_template(
        "guide/team/revealed.html", scoring=scoring, **shown, **revealed(assessment)
    )
