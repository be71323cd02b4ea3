"""Logging in and out."""

from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, url_for

from webapp import audit, sessions
from webapp.accounts import services
from webapp.accounts.forms import LoginForm
from webapp.db import session

blueprint = Blueprint("accounts", __name__)


@blueprint.route("/login", methods=["GET", "POST"])
def login():
    form = LoginForm()
    if not form.validate_on_submit():
        return render_template("accounts/login.html", form=form)
    try:
        interviewer = services.authenticate(
            session(), form.email.data, form.password.data, audit.hashed_address()
        )
    except services.TooManyLogins as limit:
        form.form_errors.append("Too many attempts. Wait 15 minutes, then try again.")
        page = render_template("accounts/login.html", form=form)
        return page, 429, {"Retry-After": str(limit)}
    if interviewer is None:
        form.form_errors.append("E-mail or password is wrong.")
        return render_template("accounts/login.html", form=form), 401
    sessions.log_in(interviewer)
    return redirect(own_path(request.args.get("next")) or url_for("interviews.index"))


@blueprint.post("/logout")
def logout():
    if interviewer := sessions.current_interviewer():
        name = services.actor(interviewer)
        audit.record(session(), audit.Tag.LOGOUT, actor=name, target=name)
    sessions.log_out()
    return redirect(url_for("accounts.login"))


def own_path(target: str | None) -> str | None:
    """The target of a redirect if it is a path of ours, else None."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc or "\\" in target else target
