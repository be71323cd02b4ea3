"""Putting runs on the queue (Procrastinate), in the transaction that says they are to be judged.

A job carries the run's id and nothing else; the worker reads what is true when it starts.
"""

import contextlib
from functools import cache

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy.orm import Session

QUEUE = "grading"
TASK = "judge"


@cache
def _deferrer() -> procrastinate.App:
    """An app that only ever puts jobs on connections handed to it, so it opens none itself."""
    return procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def enqueue(db: Session, run_id: str) -> None:
    """Put a run on the queue when this transaction commits, unless it waits there already."""
    with contextlib.suppress(AlreadyEnqueued), db.begin_nested():
        connection = db.connection().connection.driver_connection  # from here on: the savepoint
        task = _deferrer().configure_task(
            TASK, queue=QUEUE, queueing_lock=run_id, connection=connection
        )
        task.defer(run_id=run_id)
