"""A run as server-sent events, from any point on, until the run has ended."""

import json
import threading
from collections.abc import Iterator
from typing import Any

from webapp.db import Sessions
from webapp.live.hub import Hub
from webapp.runs import events, services
from webapp.runs.models import Run

HEARTBEAT_S = 15.0
QUEUE_CHECK_S = 2.0  # how often a waiting run's place in the queue is looked up
BATCH = 500
HEARTBEAT = ": \n\n"


def stream(
    hub: Hub, sessions: Sessions, run_id: str, after: int, woken: threading.Event
) -> Iterator[str]:
    """The run's events after sequence number `after`, then `end`.

    Between reads it holds no connection to the database.
    """
    place: int | None = None
    while not hub.closed:
        woken.clear()
        with sessions() as db:
            run = db.get_one(Run, run_id)  # before its events: once final, none can follow
            batch = events.read(db, run_id, after, BATCH)
            new_place = services.position(db, run)
        for event in batch:
            yield message(event.kind, event.payload, event.seq)
            after = event.seq
        if new_place is not None and new_place != place:
            yield message(
                "state", {"state": run.state, "text": waiting(new_place), "position": new_place}
            )
        place = new_place
        if len(batch) == BATCH:
            continue
        if run.state.final:
            yield message("end", {})
            return
        if not woken.wait(QUEUE_CHECK_S if place else HEARTBEAT_S):
            yield HEARTBEAT


def waiting(place: int) -> str:
    """What a run at this place of the queue waits for."""
    if place == 1:
        return "Next in line for a grader"
    return f"Waiting for a grader, number {place} in line"


def message(kind: str, data: dict[str, Any], seq: int | None = None) -> str:
    """One event in the wire format of server-sent events."""
    identity = "" if seq is None else f"id: {seq}\n"
    return f"{identity}event: {kind}\ndata: {json.dumps(data)}\n\n"
