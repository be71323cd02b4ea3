"""The live view of a run."""

from flask import Blueprint, Response, current_app, request

from webapp import access
from webapp.db import session
from webapp.errors import json_error
from webapp.live.hub import TooManyStreams
from webapp.live.stream import stream
from webapp.runs import events as run_events

blueprint = Blueprint("live", __name__)


@blueprint.get("/runs/<run_id>/events")
def events(run_id: str):
    run = access.run(run_id).run
    after = last_seen()
    if run.state.final and not run_events.read(session(), run.id, after, limit=1):
        return "", 204  # tells EventSource not to come back
    hub = current_app.extensions["hub"]
    body = watched(hub, current_app.extensions["sessions"], run.id, after)
    next(body)  # subscribes; a refusal is still an answer of its own
    return Response(body, mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})


@blueprint.errorhandler(TooManyStreams)
def too_many_streams(_: TooManyStreams):
    return json_error(
        429, "too-many-streams", "This run is open in too many windows.", "Close some of them."
    )


def last_seen() -> int:
    """The sequence number after which the browser wants to go on."""
    text = request.headers.get("Last-Event-ID") or request.args.get("after", "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def watched(hub, sessions, run_id: str, after: int):
    """The stream within its subscription; yields an empty text first, once subscribed."""
    with hub.subscribe(run_id) as woken:
        yield ""
        yield from stream(hub, sessions, run_id, after, woken)
