"""A run: its report, stopping it, judging it again."""

from typing import Any

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request, url_for

from challenges import catalogue
from webapp import access, audit
from webapp.accounts.services import actor
from webapp.catalogue.statement import to_html
from webapp.db import session
from webapp.runs import services
from webapp.runs.models import Run

blueprint = Blueprint("runs", __name__, url_prefix="/runs/<run_id>")


@blueprint.get("/report")
def report(run_id: str):
    run, viewer = access.run(run_id)
    challenge = catalogue.load(run.attempt.challenge)
    part = request.args.get("part") == "checks"  # what the workspace shows beside the editor
    more = for_interviewer(run, challenge) if viewer == access.INTERVIEWER and not part else {}
    return render_template(
        "runs/_checks.html" if part else "runs/report.html",
        run=run,
        report=run.current.report if run.current else None,
        attempt=run.attempt,
        challenge=challenge,
        viewer=viewer,
        **more,
    )


def for_interviewer(run: Run, challenge) -> dict[str, Any]:
    """What only an interviewer sees beside the report; the look is recorded."""
    name = actor(access.interviewer())
    audit.record(session(), audit.Tag.REPORT_VIEWED, actor=name, target=f"run:{run.id}")
    checks = run.current.report["checks"] if run.current else []
    failed = [check["id"] for check in checks if check["verdict"] == "FAIL"]
    return {
        "files": run.files,
        "questions": [text for check in failed for text in challenge.questions.get(check, ())],
        "rubric_html": to_html(challenge.rubric),
    }


@blueprint.get("/report.json")
def report_json(run_id: str):
    run, _ = access.run(run_id)
    if run.current is None:
        abort(404, "This run has no verdict yet.")
    return jsonify(run.current.report)


@blueprint.post("/cancel")
def cancel(run_id: str):
    run = access.own_run(run_id)
    services.cancel(session(), run)
    return jsonify(run=as_json(run))


@blueprint.post("/regrade")
@access.interviewers_only
def regrade(run_id: str):
    run, _ = access.run(run_id)
    try:
        services.regrade(session(), run, access.interviewer())
    except services.RunInProgress:
        flash("This attempt has a run that is not finished. Try again when it is.")
    return redirect(url_for("interviews.attempt", attempt_id=run.attempt_id))


def as_json(run: Run) -> dict[str, Any]:
    """A run as the workspace's scripts read it."""
    return {
        "id": run.id,
        "number": run.number,
        "kind": run.kind,
        "state": run.state,
        "created_at": run.created_at.isoformat(),
        "position": services.position(session(), run),
        "verdict": run.verdict,
        "score": run.score,
    }
