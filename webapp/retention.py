"""What people are told about their data is done here: it is removed after RETENTION_DAYS.

The rows of an attempt go with it (foreign keys cascade), the histories of its runs when a worker
next compares its folder with the database. The audit log stays; it holds ids, no names or texts.
"""

import shutil
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webapp.db import utc_now
from webapp.guide.team.models import Assessment
from webapp.invites.models import Invite
from webapp.runs.models import Run
from webapp.workspace.models import Attempt

RETENTION_DAYS = 365


def erase_old(db: Session) -> None:
    """Remove the attempts and team assessments that began too long ago, and invites that expired
    as long ago."""
    limit = utc_now() - timedelta(days=RETENTION_DAYS)
    db.execute(delete(Attempt).where(Attempt.started_at < limit))
    db.execute(delete(Assessment).where(Assessment.created_at < limit))
    db.execute(delete(Invite).where(Invite.attempt_id.is_(None), Invite.expires_at < limit))


def erase_orphans(db: Session, histories: Path) -> None:
    """Remove the histories in a folder whose runs are no longer in the database."""
    known = set(db.scalars(select(Run.id)))
    for folder in histories.iterdir():
        if folder.name not in known:
            shutil.rmtree(folder)
