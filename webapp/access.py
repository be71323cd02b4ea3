"""Who may see what. Every view gets its attempt or run here, so none can forget to ask.

A candidate's browser reaches its own attempt and the runs of it. Every interviewer of an
installation reaches all attempts. Whoever may not see a thing gets the answer of one that does not
exist.
"""

from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

from flask import abort, redirect, request, url_for

from webapp import sessions
from webapp.accounts.models import Interviewer
from webapp.db import session
from webapp.errors import KNOWN, json_error, wants_json
from webapp.runs.models import Run
from webapp.workspace.models import Attempt

CANDIDATE, INTERVIEWER = "candidate", "interviewer"


class SeenRun(NamedTuple):
    """A run, and as whom this browser may see it: CANDIDATE or INTERVIEWER."""

    run: Run
    viewer: str


def interviewer() -> Interviewer:
    """The interviewer of this request; for views marked `interviewers_only`."""
    return sessions.current_interviewer() or abort(401)


def interviewers_only(view: Callable) -> Callable:
    """Let only logged-in interviewers use a view; others are sent to log in."""

    @wraps(view)
    def guarded(*args, **kwargs):
        if sessions.current_interviewer():
            return view(*args, **kwargs)
        if wants_json():
            name, title, advice = KNOWN[401]
            return json_error(401, name, title, advice)
        following = request.full_path if request.method == "GET" else None
        return redirect(url_for("accounts.login", next=following))

    return guarded


def own_attempt(attempt_id: str) -> Attempt:
    """The attempt this browser's candidate works on; 404 otherwise."""
    attempt = session().get(Attempt, attempt_id)
    if attempt is None or not sessions.holds_attempt(attempt_id):
        abort(404)
    return attempt


def any_attempt(attempt_id: str) -> Attempt:
    """An attempt, for an interviewer; 404 when there is none."""
    interviewer()
    return session().get(Attempt, attempt_id) or abort(404)


def run(run_id: str) -> SeenRun:
    """A run of this browser's own attempt, or any run for an interviewer; 404 otherwise."""
    found = session().get(Run, run_id)
    if found is None:
        abort(404)
    if sessions.current_interviewer():
        return SeenRun(found, INTERVIEWER)
    return SeenRun(own_run(run_id), CANDIDATE)


def own_run(run_id: str) -> Run:
    """A run of this browser's own attempt; 404 otherwise."""
    found = session().get(Run, run_id)
    if found is None or not sessions.holds_attempt(found.attempt_id):
        abort(404)
    return found
