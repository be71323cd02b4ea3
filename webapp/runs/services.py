"""Asking for runs, stopping them, judging them again."""

import secrets
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from webapp import audit
from webapp.accounts.models import Interviewer
from webapp.accounts.services import actor
from webapp.config import VISIBLE_SEED
from webapp.db import utc_now
from webapp.grading.queue import enqueue
from webapp.runs import events
from webapp.runs.models import Kind, Run, State
from webapp.workspace.models import Attempt, Workspace
from webapp.workspace.services import lock

WINDOW = timedelta(hours=1)
PER_WINDOW = {Kind.RUN: 60, Kind.SUBMIT: 10}
ACTIVE = (State.QUEUED, State.RUNNING)


class RunInProgress(Exception):
    """The attempt has a run already, which is the argument."""


class TooManyRuns(Exception):
    """The limit of the last hour is reached; the argument is the number of seconds to wait."""


def start(db: Session, attempt: Attempt, workspace: Workspace, kind: Kind) -> Run:
    """Queue a run of the files as they are; the caller holds the workspace's lock.

    Raises RunInProgress and TooManyRuns.
    """
    mine = select(Run).where(Run.attempt_id == attempt.id)
    if active := db.scalar(mine.where(Run.state.in_(ACTIVE))):
        raise RunInProgress(active)
    check_rate(db, attempt, kind)
    run = Run(
        attempt=attempt,
        number=db.scalar(select(func.count()).select_from(mine.subquery())) + 1,
        kind=kind,
        files=workspace.files,
        seed=VISIBLE_SEED if kind is Kind.RUN else secrets.randbelow(2**31),
    )
    db.add(run)
    db.flush()
    audit.record(db, audit.Tag.RUN_REQUESTED, actor=f"attempt:{attempt.id}", target=f"run:{run.id}")
    enqueue(db, run.id)
    events.append_state(db, run, events.QUEUED)
    return run


def check_rate(db: Session, attempt: Attempt, kind: Kind) -> None:
    """Raise TooManyRuns when the attempt asked for as many runs as the window allows."""
    allowed = PER_WINDOW[kind]
    recent = db.scalars(
        select(Run.created_at)
        .where(Run.attempt_id == attempt.id, Run.kind == kind, Run.created_at > utc_now() - WINDOW)
        .order_by(Run.created_at.desc())
        .limit(allowed)
    ).all()
    if len(recent) >= allowed:
        raise TooManyRuns(int((recent[-1] + WINDOW - utc_now()).total_seconds()) + 1)


def cancel(db: Session, run: Run) -> None:
    """Stop a run that is not finished; its worker notices within a second and lets go."""
    cancelled = db.scalar(
        update(Run)
        .where(Run.id == run.id, Run.state.in_(ACTIVE))
        .values(
            state=State.CANCELLED,
            finished_at=func.clock_timestamp(),
            lease_token=None,
            leased_until=None,
        )
        .returning(Run)
    )
    if cancelled is None:
        return
    audit.record(
        db, audit.Tag.RUN_CANCELLED, actor=f"attempt:{run.attempt_id}", target=f"run:{run.id}"
    )
    events.append_state(db, cancelled, "Stopped")


def regrade(db: Session, run: Run, by: Interviewer) -> None:
    """Judge a finished run again as a new grading version; the verdicts there are stay.

    Raises RunInProgress when the attempt has a run that is not finished.
    """
    lock(db, run.attempt)
    active = select(Run).where(Run.attempt_id == run.attempt_id, Run.state.in_(ACTIVE))
    if unfinished := db.scalar(active):
        raise RunInProgress(unfinished)
    run.grading_version += 1
    run.tries = 0
    run.state = State.QUEUED
    run.started_at = run.finished_at = None
    audit.record(
        db,
        audit.Tag.RUN_REGRADED,
        actor=actor(by),
        target=f"run:{run.id}",
        grading_version=run.grading_version,
    )
    enqueue(db, run.id)
    events.append_restart(db, run, "An interviewer has this judged again")


def position(db: Session, run: Run) -> int | None:
    """The place of a run in the queue, 1 = next; None when it does not wait."""
    if run.state != State.QUEUED:
        return None
    before = select(func.count()).where(Run.state == State.QUEUED, Run.created_at < run.created_at)
    return db.scalar(before) + 1


def runs_of(db: Session, attempt: Attempt) -> list[Run]:
    """The runs of an attempt, newest first."""
    mine = select(Run).where(Run.attempt_id == attempt.id)
    return list(db.scalars(mine.order_by(Run.number.desc())))
