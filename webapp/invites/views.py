"""The way in for candidates: look at an invite (GET changes nothing), then accept it (POST)."""

from flask import Blueprint, redirect, render_template, url_for

from challenges import catalogue
from sandbox.runtimes import available
from webapp import sessions
from webapp.db import rollback, session
from webapp.invites import services
from webapp.invites.forms import AcceptForm
from webapp.retention import RETENTION_DAYS

blueprint = Blueprint("invites", __name__, url_prefix="/invites")


@blueprint.route("/<token>", methods=["GET", "POST"])
def landing(token: str):
    invite = services.find(session(), token)
    if invite.attempt_id and sessions.holds_attempt(invite.attempt_id):
        return redirect(url_for("workspace.show", attempt_id=invite.attempt_id))
    services.check_usable(invite)
    challenge = catalogue.load(invite.challenge)
    form = AcceptForm.about(invite, available(challenge.languages))
    if form.validate_on_submit():
        attempt = services.accept(session(), token, form.name.data, form.language.data)
        sessions.enter_attempt(attempt)
        return redirect(url_for("workspace.show", attempt_id=attempt.id))
    return render_template(
        "invites/landing.html",
        invite=invite,
        challenge=challenge,
        form=form,
        retention_days=RETENTION_DAYS,
    )


@blueprint.errorhandler(services.InviteProblem)
def problem(error: services.InviteProblem):
    rollback()
    page = render_template(
        "invites/problem.html", title=error.title, message=error.message, advice=error.advice
    )
    return page, error.code
