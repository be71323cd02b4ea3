"""The live events of a run: appended under the run's row lock, told by NOTIFY.

The table is the truth. NOTIFY only says "look again", so a lost one costs time and no event.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webapp.runs.models import Run, RunEvent

CHANNEL = "offsetzero_run"
QUEUED = "Waiting for a free grader"


def append(db: Session, run_id: str, events: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Add (kind, payload) events; the caller's transaction must hold the run's row lock."""
    last = db.scalar(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run_id)) or 0
    db.add_all(
        RunEvent(run_id=run_id, seq=seq, kind=kind, payload=payload)
        for seq, (kind, payload) in enumerate(events, start=last + 1)
    )
    db.flush()
    tell(db, run_id)


def append_state(db: Session, run: Run, text: str, **more: Any) -> None:
    """Add the event that says which state the run is in now."""
    append(db, run.id, [("state", {"state": run.state, "text": text, **more})])


def append_restart(db: Session, run: Run, why: str) -> None:
    """Say that what was shown of the run so far counts no more, and that it is queued again."""
    append(db, run.id, [("resync", {"message": why})])
    append_state(db, run, QUEUED)


def tell(db: Session, run_id: str) -> None:
    """Wake those who watch this run, when the transaction commits."""
    db.execute(select(func.pg_notify(CHANNEL, run_id)))


def read(db: Session, run_id: str, after: int, limit: int) -> Sequence[RunEvent]:
    """The next events after a sequence number, at most `limit`."""
    return db.scalars(
        select(RunEvent)
        .where(RunEvent.run_id == run_id, RunEvent.seq > after)
        .order_by(RunEvent.seq)
        .limit(limit)
    ).all()
