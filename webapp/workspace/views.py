"""The candidate's workspace: open it, save, run."""

from flask import Blueprint, abort, jsonify, render_template, request, url_for
from sqlalchemy import select

from challenges import catalogue
from webapp import access
from webapp.catalogue.statement import to_html
from webapp.db import session, utc_now
from webapp.errors import json_error
from webapp.runs import services as runs
from webapp.runs.models import Kind
from webapp.runs.views import as_json
from webapp.workspace import files as rules
from webapp.workspace import services
from webapp.workspace.models import Attempt, KeptCopy

blueprint = Blueprint("workspace", __name__, url_prefix="/attempts/<attempt_id>")


@blueprint.get("")
def show(attempt_id: str):
    attempt = access.own_attempt(attempt_id)
    challenge = catalogue.load(attempt.challenge)
    return render_template(
        "workspace/workspace.html",
        attempt=attempt,
        challenge=challenge,
        statement_html=to_html(challenge.statement),
        files=attempt.workspace.files,
        runs=runs.runs_of(session(), attempt),
        readonly=attempt.over,
        server_now=utc_now(),
    )


@blueprint.put("/files")
def save_files(attempt_id: str):
    attempt = open_attempt(attempt_id)
    body = json_body()
    found, base = body.get("files"), body.get("base")
    if problems := rules.problems(found):
        return refused(problems)
    if type(base) is not int or not 0 < base < 2**31:
        abort(400, "base must be the revision that these files began from.")
    match services.save(session(), attempt, found, base):
        case services.Saved(revision, saved_at):
            return jsonify(revision=revision, saved_at=saved_at.isoformat())
        case services.Conflict(current, kept):
            return conflict(current.revision, files=current.files, kept=kept and kept.id)


@blueprint.get("/copies/<copy_id>")
def show_copy(attempt_id: str, copy_id: str):
    attempt = access.own_attempt(attempt_id)
    mine = select(KeptCopy).where(KeptCopy.attempt_id == attempt.id, KeptCopy.id == copy_id)
    copy = session().scalar(mine) or abort(404)
    return jsonify(files=copy.files, base=copy.base, kept_at=copy.kept_at.isoformat())


@blueprint.post("/runs")
def start_run(attempt_id: str):
    attempt = open_attempt(attempt_id)
    body = json_body()
    if body.get("kind") not in list(Kind):
        abort(400, "kind must be 'run' or 'submit'.")
    workspace = services.lock(session(), attempt)
    if body.get("revision") != workspace.revision:
        return conflict(workspace.revision, files=workspace.files)
    run = runs.start(session(), attempt, workspace, Kind(body["kind"]))
    urls = {
        "events_url": url_for("live.events", run_id=run.id),
        "report_url": url_for("runs.report", run_id=run.id),
        "cancel_url": url_for("runs.cancel", run_id=run.id),
    }
    return jsonify(run=as_json(run), **urls), 201


def open_attempt(attempt_id: str) -> Attempt:
    """The candidate's attempt while there is time; 403 afterwards."""
    attempt = access.own_attempt(attempt_id)
    if attempt.over:
        raise DeadlinePassed
    return attempt


class DeadlinePassed(Exception):
    """The attempt's time limit has passed."""


def json_body() -> dict:
    """The request's JSON object; 400 when it is anything else."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        abort(400, "Send a JSON object.")
    return body


def refused(problems: list[rules.Problem]):
    first = problems[0]
    where = f"{first.path}: " if first.path else ""
    return json_error(
        422,
        "files",
        f"Not saved. {where}{first.message}",
        "Change it and it is saved again.",
        problems=[{"path": problem.path, "message": problem.message} for problem in problems],
    )


def conflict(revision: int, **extras):
    return json_error(
        409,
        "conflict",
        "Another window saved this project first.",
        "Choose which of the two to go on with. Both are kept.",
        revision=revision,
        **extras,
    )


@blueprint.errorhandler(DeadlinePassed)
def deadline_passed(_: DeadlinePassed):
    return json_error(
        403, "deadline", "The time for this challenge is over.", "Your last saved files count."
    )


@blueprint.errorhandler(runs.RunInProgress)
def run_in_progress(error: runs.RunInProgress):
    return json_error(
        409,
        "run-in-progress",
        "One run at a time: another one is not finished.",
        "Wait for it, or stop it.",
        run=as_json(error.args[0]),
    )


@blueprint.errorhandler(runs.TooManyRuns)
def too_many_runs(error: runs.TooManyRuns):
    wait = error.args[0]
    answer, code = json_error(
        429,
        "too-many-runs",
        "You have used the runs of this hour.",
        f"You can run again in {-(-wait // 60)} min. Saving goes on.",
        retry_after=wait,
    )
    answer.headers["Retry-After"] = str(wait)
    return answer, code
