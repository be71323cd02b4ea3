"""The interviewers' pages: candidates, invites, one attempt."""

from flask import Blueprint, current_app, render_template, request, url_for

from challenges import catalogue
from webapp import access, audit
from webapp.accounts.services import actor
from webapp.db import session
from webapp.interviews import services
from webapp.interviews.forms import InviteForm
from webapp.invites import services as invites
from webapp.runs import services as runs
from webapp.workspace import services as workspace

blueprint = Blueprint("interviews", __name__, url_prefix="/interviews")


@blueprint.get("")
@access.interviewers_only
def index():
    filters = services.Filters(
        state=request.args.get("state", ""),
        challenge=request.args.get("challenge", ""),
        q=request.args.get("q", "").strip()[:100],
        sort=request.args.get("sort", "newest"),
    )
    wanted = request.args.get("page", 1, type=int)
    rows, page = services.candidates(session(), filters, wanted)
    return render_template(
        "interviews/index.html",
        attempts=rows,
        filters=filters,
        page=page,
        counts=services.counts(session()),
        challenges={name: catalogue.load(name) for name in catalogue.names()},
    )


@blueprint.route("/invites/new", methods=["GET", "POST"])
@access.interviewers_only
def new_invite():
    form = InviteForm(challenge=request.args.get("challenge"))
    form.challenge.choices = [(n, catalogue.load(n).title) for n in catalogue.names()]
    if not form.validate_on_submit():
        return render_template("interviews/new_invite.html", form=form)
    wanted = {name: value for name, value in form.data.items() if name != "csrf_token"}
    invite, token = invites.create(session(), access.interviewer(), **wanted)
    return show_link(invite, token, resume=False)


@blueprint.get("/attempts/<attempt_id>")
@access.interviewers_only
def attempt(attempt_id: str):
    found = access.any_attempt(attempt_id)
    name = actor(access.interviewer())
    audit.record(session(), audit.Tag.ATTEMPT_VIEWED, actor=name, target=f"attempt:{found.id}")
    return render_template(
        "interviews/attempt.html",
        attempt=found,
        challenge=catalogue.load(found.challenge),
        runs=runs.runs_of(session(), found),
        files=found.workspace.files,
        kept_copies=workspace.copies(session(), found),
    )


@blueprint.post("/attempts/<attempt_id>/resume")
@access.interviewers_only
def resume(attempt_id: str):
    found = access.any_attempt(attempt_id)
    invite, token = invites.create_resume_link(session(), access.interviewer(), found)
    return show_link(invite, token, resume=True)


def show_link(invite: invites.Invite, token: str, *, resume: bool):
    """The page that shows a link once."""
    path = url_for("invites.landing", token=token)
    base = current_app.config["PUBLIC_URL"] or request.host_url.rstrip("/")
    return render_template(
        "interviews/invite_created.html", invite=invite, url=base + path, resume=resume
    )
