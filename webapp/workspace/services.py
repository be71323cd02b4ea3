"""Saving a candidate's files without ever losing any."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webapp.db import utc_now
from webapp.workspace.models import Attempt, KeptCopy, Workspace

MAX_COPIES = 100  # of one attempt; a browser that keeps on conflicting fills no disk


@dataclass(frozen=True)
class Saved:
    revision: int
    saved_at: datetime


@dataclass(frozen=True)
class Conflict:
    """Someone else saved first. `current` is what they saved, `kept` the copy of what came late.

    kept is None only when the attempt has MAX_COPIES copies already.
    """

    current: Workspace
    kept: KeptCopy | None


def save(db: Session, attempt: Attempt, files: dict[str, str], base: int) -> Saved | Conflict:
    """Make `files` the next revision if `base` is the current one; else keep them beside it.

    Files equal to the current ones are saved already, whatever their base.
    """
    workspace = lock(db, attempt)
    if files != workspace.files:
        if base != workspace.revision:
            return Conflict(workspace, keep(db, attempt, files, base))
        workspace.files = files
        workspace.revision += 1
        workspace.saved_at = utc_now()
    return Saved(workspace.revision, workspace.saved_at)


def lock(db: Session, attempt: Attempt) -> Workspace:
    """The attempt's workspace as it is now, ours until the transaction ends."""
    return db.scalars(
        select(Workspace)
        .where(Workspace.attempt_id == attempt.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def keep(db: Session, attempt: Attempt, files: dict[str, str], base: int) -> KeptCopy | None:
    """Keep a copy of files, the same one for the same files."""
    mine = select(KeptCopy).where(KeptCopy.attempt_id == attempt.id)
    if same := db.scalar(mine.where(KeptCopy.files == files).limit(1)):
        return same
    if db.scalar(select(func.count()).select_from(mine.subquery())) >= MAX_COPIES:
        return None
    copy = KeptCopy(attempt_id=attempt.id, base=base, files=files)
    db.add(copy)
    db.flush()
    return copy


def copies(db: Session, attempt: Attempt) -> list[KeptCopy]:
    """The kept copies of an attempt, newest first."""
    mine = select(KeptCopy).where(KeptCopy.attempt_id == attempt.id)
    return list(db.scalars(mine.order_by(KeptCopy.kept_at.desc())))
