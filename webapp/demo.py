"""Something to try at once: an interviewer and an invite link."""

from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from webapp.accounts.models import Interviewer
from webapp.accounts.services import set_password
from webapp.invites import services as invites
from webapp.invites.models import Invite

INTERVIEWER = "demo@example.org"
CANDIDATE = "candidate@example.org"
CHALLENGE = "idempotent_consumer"
DAYS = 30


@dataclass(frozen=True)
class Demo:
    """How to log in, and the path of an invite link. password: only on the very first start."""

    email: str
    password: str | None
    invite_path: str


def make(db: Session) -> Demo | None:
    """Make the demo; None when the demo interviewer is not (or no longer) wanted.

    The interviewer is made when there is none at all, and the link is new each time, since nobody
    can read an old one again.
    """
    password = None
    if db.scalar(select(func.count()).select_from(Interviewer)) == 0:
        _, password = set_password(db, INTERVIEWER, "Demo interviewer")
    interviewer = db.scalar(
        select(Interviewer).where(
            Interviewer.email == INTERVIEWER, Interviewer.disabled_at.is_(None)
        )
    )
    if interviewer is None:
        return None
    return Demo(INTERVIEWER, password, invite_path(db, interviewer))


def invite_path(db: Session, interviewer: Interviewer) -> str:
    """A new demo invite in the place of one that was never used."""
    db.execute(delete(Invite).where(Invite.candidate_email == CANDIDATE, Invite.used_at.is_(None)))
    _, token = invites.create(
        db,
        interviewer,
        challenge=CHALLENGE,
        candidate_name="Demo candidate",
        candidate_email=CANDIDATE,
        expires_days=DAYS,
    )
    return f"/invites/{token}"
