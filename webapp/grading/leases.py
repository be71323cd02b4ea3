"""Who may judge a run, and who may say what came out: the part that must never go wrong.

Procrastinate only starts work. The truth is the run's row: a worker that claims it gets a token,
and extends the lease every few seconds. The sweeper gives the run of a dead worker to the next one:
at once when the worker was on the sweeper's own machine, when its lease runs out when it was not.
Whatever a worker then writes, it writes `WHERE lease_token = its token`, so one that comes back too
late changes nothing. The verdict, the end of the run and the audit event are one transaction. All
times are the database's, so that no machine's clock matters.

A run that could not be judged in MAX_TRIES tries ends as FAILED_INTERNAL: our fault, no verdict.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Text, func, literal_column, select, update
from sqlalchemy.orm import Session

from webapp import audit
from webapp.grading.queue import enqueue
from webapp.grading.whereabouts import known_dead
from webapp.runs import events
from webapp.runs.models import Kind, Run, State, Verdict

LEASE = timedelta(seconds=15)
EXTEND_EVERY_S = 2.0
MAX_TRIES = 3
NOT_YOUR_FAULT = "We could not grade this; it is not your fault."


@dataclass(frozen=True)
class Lease:
    """The right to judge one run, and all that is needed for it; it waited queued_s seconds."""

    run_id: str
    token: str
    tries: int
    grading_version: int
    challenge: str
    language: str
    files: dict[str, str]
    seed: int
    kind: Kind
    queued_s: float


def claim(db: Session, run_id: str, worker: str) -> Lease | None:
    """Take a queued run; None when it is not queued (any more)."""
    token = secrets.token_hex(8)
    run = db.scalar(
        update(Run)
        .where(Run.id == run_id, Run.state == State.QUEUED)
        .values(
            state=State.RUNNING,
            tries=Run.tries + 1,
            lease_token=token,
            leased_until=func.clock_timestamp() + LEASE,
            worker=worker,
            started_at=func.clock_timestamp(),
        )
        .returning(Run)
    )
    if run is None:
        return None
    events.append_state(db, run, "Starting your program")
    attempt = run.attempt
    return Lease(
        run.id,
        token,
        run.tries,
        run.grading_version,
        attempt.challenge,
        attempt.language,
        run.files,
        run.seed,
        run.kind,
        (run.started_at - run.created_at).total_seconds(),
    )


def extend(db: Session, lease: Lease) -> bool:
    """Hold on to the run; False when it is no longer ours."""
    extended = (
        update(Run)
        .where(*_ours(lease))
        .values(leased_until=func.clock_timestamp() + LEASE)
        .returning(Run.id)
    )
    return db.scalar(extended) is not None


def add_events(db: Session, lease: Lease, batch: list[tuple[str, dict[str, Any]]]) -> bool:
    """Append live events; False, and nothing appended, when the run is no longer ours."""
    if _lock(db, lease) is None:
        return False
    events.append(db, lease.run_id, batch)
    return True


def record(db: Session, lease: Lease, report: dict[str, Any], history: str) -> bool:
    """Write the verdict and end the run; False, and nothing written, when it is not ours."""
    run = _lock(db, lease)
    if run is None:
        return False
    db.add(
        Verdict(
            run_id=run.id,
            grading_version=lease.grading_version,
            verdict=report["verdict"],
            score=report["score"],
            report=report,
            history=history,
            lease_token=lease.token,
        )
    )
    _end(run, State.DONE)
    audit.record(
        db,
        audit.Tag.VERDICT_RECORDED,
        actor=f"worker:{run.worker}",
        target=f"run:{run.id}",
        verdict=report["verdict"],
        grading_version=lease.grading_version,
    )
    events.append_state(
        db, run, "The verdict is there", verdict=report["verdict"], score=report["score"]
    )
    return True


def fail(db: Session, lease: Lease, why: str) -> None:
    """Say that this try failed on our side: the run is tried again, or given up."""
    if run := _lock(db, lease):
        _try_again(db, run, why)


def release(db: Session, lease: Lease) -> None:
    """Hand the run back untouched, because this worker is told to stop; no try is counted."""
    if run := _lock(db, lease):
        run.tries -= 1
        _requeue(db, run, "The machine that judged it is being restarted; next in line again")


def sweep(db: Session) -> list[str]:
    """Find runs that nobody works on and queue them again; returns their ids.

    That is a run whose lease ran out or whose worker is known to be dead, and a queued run without
    a waiting job.
    """
    running = db.execute(
        select(Run.lease_token, Run.worker).where(Run.state == State.RUNNING)
    ).all()
    orphaned = [token for token, worker in running if known_dead(worker)]
    over = (Run.leased_until < func.clock_timestamp()) | Run.lease_token.in_(orphaned)
    abandoned = db.scalars(
        select(Run).where(Run.state == State.RUNNING, over).with_for_update(skip_locked=True)
    ).all()
    for run in abandoned:
        _try_again(db, run, f"worker {run.worker} went silent")
    forgotten = db.scalars(select(Run.id).where(Run.state == State.QUEUED, ~_has_job())).all()
    for run_id in forgotten:
        enqueue(db, run_id)
    return [*(run.id for run in abandoned), *forgotten]


def _ours(lease: Lease) -> tuple[Any, ...]:
    return (
        Run.id == lease.run_id,
        Run.state == State.RUNNING,
        Run.lease_token == lease.token,
    )


def _lock(db: Session, lease: Lease) -> Run | None:
    return db.scalar(select(Run).where(*_ours(lease)).with_for_update(of=Run))


def _end(run: Run, state: State) -> None:
    run.state = state
    run.finished_at = func.clock_timestamp()
    run.lease_token = run.leased_until = None


def _try_again(db: Session, run: Run, why: str) -> None:
    if run.tries < MAX_TRIES:
        _requeue(db, run, "The machine that judged it stopped; next in line again")
        return
    _end(run, State.FAILED_INTERNAL)
    audit.record(
        db,
        audit.Tag.RUN_GIVEN_UP,
        actor=f"worker:{run.worker}",
        target=f"run:{run.id}",
        tries=run.tries,
        why=why,
    )
    events.append_state(db, run, NOT_YOUR_FAULT)


def _requeue(db: Session, run: Run, text: str) -> None:
    run.state = State.QUEUED
    run.lease_token = run.leased_until = None
    enqueue(db, run.id)
    events.append_restart(db, run, text)


def _has_job() -> Any:
    jobs = literal_column(
        "(SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = run.id AND status = 'todo')", Text
    )
    return jobs.is_not(None)
