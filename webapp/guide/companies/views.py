"""The model editor: a company's own weights and knock-outs."""

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request, url_for

from decision_guide import GuideError
from webapp import access
from webapp.db import session
from webapp.guide import decision_models
from webapp.guide.answering.sheet import plain_number
from webapp.guide.companies import forms, services
from webapp.guide.companies.models import Company
from webapp.guide.results.words import Words

blueprint = Blueprint("guide_companies", __name__, url_prefix="/guide/companies")


def company_of(id: str) -> Company:
    """The company of an id, for an interviewer; 404 when there is none. Nobody else changes it
    while this request does."""
    access.interviewer()
    changing = request.method == "POST"
    return session().get(Company, id, with_for_update=changing) or abort(404)


@blueprint.route("", methods=["GET", "POST"])
@access.interviewers_only
def index():
    form = forms.CompanyForm()
    if form.validate_on_submit():
        try:
            by, name = access.interviewer(), form.name.data
            made = services.create(session(), by, name, form.organisation.data)
            return redirect(url_for("guide_companies.edit", company_id=made.id))
        except GuideError as error:
            form.form_errors += [problem.message for problem in error.problems]
    return render_template(
        "guide/companies/index.html", form=form, companies=services.listed(session())
    )


@blueprint.get("/<company_id>")
@access.interviewers_only
def edit(company_id: str):
    return editor(company_of(company_id), knockout_form())


def editor(company: Company, form: forms.KnockoutForm, refused: dict | None = None):
    """The editing page. `refused` holds, for one decision, what was typed and what is wrong."""
    return render_template(
        "guide/companies/edit.html",
        company=company,
        model=decision_models.base(),
        words=Words(decision_models.base()),
        form=form,
        problems=services.faults(company),
        points_of=services.points_of,
        refused=refused or {},
    )


def knockout_form() -> forms.KnockoutForm:
    """The form for a knock-out, with all that it may name."""
    form, model = forms.KnockoutForm(), decision_models.base()
    form.when.choices = {
        q.text: {f"{q.id}={a.id}": a.label for a in q.answers} for q in model.questions
    }
    form.excludes.choices = {
        d.title: {f"{d.id}.{o.id}": o.label for o in d.options} for d in model.decisions
    }
    return form


@blueprint.post("/<company_id>/weights/<decision>")
@access.interviewers_only
def weigh(company_id: str, decision: str):
    company, model = company_of(company_id), decision_models.base()
    if decision not in [d.id for d in model.decisions]:
        abort(404)
    criteria = model.decisions[model.decision(decision)].criteria
    typed = {c.id: request.form.get(c.id, "").strip() for c in criteria}
    own = "own" in request.form
    try:
        points = {id: plain_number(text) for id, text in typed.items()} if own else None
        services.weigh(session(), access.interviewer(), company, decision, points)
    except ValueError as error:  # a GuideError, too
        refused = {"decision": decision, "typed": typed, "error": str(error)}
        return editor(company, knockout_form(), refused)
    return redirect(url_for("guide_companies.edit", company_id=company.id, _anchor=decision))


@blueprint.post("/<company_id>/knockouts")
@access.interviewers_only
def add_knockout(company_id: str):
    company, form = company_of(company_id), knockout_form()
    if not form.validate_on_submit():
        return editor(company, form)
    services.add_knockout(session(), access.interviewer(), company, form.knockout())
    return redirect(url_for("guide_companies.edit", company_id=company.id, _anchor="knockouts"))


@blueprint.post("/<company_id>/knockouts/<knockout_id>/remove")
@access.interviewers_only
def remove_knockout(company_id: str, knockout_id: str):
    company = company_of(company_id)
    services.remove_knockout(session(), access.interviewer(), company, knockout_id)
    return redirect(url_for("guide_companies.edit", company_id=company.id, _anchor="knockouts"))


@blueprint.route("/<company_id>/delete", methods=["GET", "POST"])
@access.interviewers_only
def delete(company_id: str):
    company = company_of(company_id)
    used = services.used_by(session(), company)
    if request.method == "POST" and not used:
        services.delete(session(), access.interviewer(), company)
        flash(f"The model of {company.organisation} is deleted.", "success")
        return redirect(url_for("guide_companies.index"))
    return render_template(
        "guide/delete.html",
        title=f"Delete the model of {company.organisation}?",
        lost="Its weights and knock-outs are deleted, and links to results scored with it die.",
        used=used,
        back=url_for("guide_companies.edit", company_id=company.id),
    )


@blueprint.get("/<company_id>/overlay.json")
@access.interviewers_only
def overlay_file(company_id: str):
    company = company_of(company_id)
    answer = jsonify(company.overlay)
    name = f"{company.name}-overlay.json"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
