"""Making invites and accepting them, once."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from challenges import catalogue
from webapp import audit, sessions
from webapp.accounts.models import Interviewer
from webapp.accounts.services import actor
from webapp.db import utc_now
from webapp.invites.models import Invite
from webapp.workspace.models import Attempt, Workspace

RESUME_DAYS = 2


class InviteProblem(Exception):
    """This link does not let anybody in; the attributes say why and what to do."""

    def __init__(self, code: int, title: str, message: str, advice: str) -> None:
        super().__init__(title)
        self.code, self.title, self.message, self.advice = code, title, message, advice


def create(
    db: Session,
    by: Interviewer,
    *,
    challenge: str,
    candidate_name: str,
    candidate_email: str,
    expires_days: int,
    minutes: int | None = None,
) -> tuple[Invite, str]:
    """Make an invite; returns it and the token of its link, which nobody can read again."""
    token, hashed = sessions.new_token()
    invite = Invite(
        token_hash=hashed,
        challenge=challenge,
        candidate_name=candidate_name,
        candidate_email=candidate_email,
        minutes=minutes,
        created_by=by.id,
        expires_at=utc_now() + timedelta(days=expires_days),
    )
    db.add(invite)
    db.flush()
    audit.record(db, audit.Tag.INVITE_CREATED, actor=actor(by), target=f"invite:{invite.id}")
    return invite, token


def create_resume_link(db: Session, by: Interviewer, attempt: Attempt) -> tuple[Invite, str]:
    """Make a link that opens this attempt in another browser; returns it and its token."""
    token, hashed = sessions.new_token()
    invite = Invite(
        token_hash=hashed,
        challenge=attempt.challenge,
        candidate_name=attempt.candidate_name,
        candidate_email=attempt.candidate_email,
        resume=True,
        attempt_id=attempt.id,
        created_by=by.id,
        expires_at=utc_now() + timedelta(days=RESUME_DAYS),
    )
    db.add(invite)
    audit.record(db, audit.Tag.RESUME_CREATED, actor=actor(by), target=f"attempt:{attempt.id}")
    return invite, token


def find(db: Session, token: str, *, lock: bool = False) -> Invite:
    """The invite of a link, used or not. Raises InviteProblem when there is none."""
    query = select(Invite).where(Invite.token_hash == sessions.token_hash(token))
    invite = db.scalar(query.with_for_update() if lock else query)
    if invite is None:
        raise InviteProblem(
            404,
            "This link is not valid",
            "We know no invite with this address.",
            "Copy the whole link from the message you got, or ask your interviewer for a new one.",
        )
    return invite


def check_usable(invite: Invite) -> None:
    """Raise InviteProblem when the invite was used or has expired."""
    if invite.used_at:
        raise InviteProblem(
            410,
            "This link was used already",
            "An invite opens the challenge once, in the browser where it was accepted.",
            "Open it in that browser to go on. To go on in another one, ask your interviewer "
            "for a link to resume.",
        )
    if invite.expires_at <= utc_now():
        raise InviteProblem(
            410,
            "This link has expired",
            f"It was valid until {invite.expires_at:%d %b %Y, %H:%M} UTC.",
            "Ask your interviewer for a new one.",
        )


def accept(db: Session, token: str, name: str, language: str) -> Attempt:
    """Use up the invite and return its attempt, begun now unless this is a link to resume.

    Raises InviteProblem. Of several at once, one gets in.
    """
    invite = find(db, token, lock=True)
    check_usable(invite)
    invite.used_at = utc_now()
    if invite.resume:
        attempt = db.get_one(Attempt, invite.attempt_id)
        tag = audit.Tag.ATTEMPT_RESUMED
    else:
        attempt = begin(db, invite, name, language)
        tag = audit.Tag.INVITE_ACCEPTED
    audit.record(db, tag, actor=f"attempt:{attempt.id}", target=f"invite:{invite.id}")
    return attempt


def begin(db: Session, invite: Invite, name: str, language: str) -> Attempt:
    """Begin the attempt of an invite with the challenge's starter files in a language."""
    challenge = catalogue.load(invite.challenge)
    attempt = Attempt(
        challenge=challenge.name,
        language=language,
        candidate_name=name,
        candidate_email=invite.candidate_email,
        deadline=utc_now() + timedelta(minutes=invite.minutes) if invite.minutes else None,
    )
    attempt.workspace = Workspace(revision=1, files=dict(challenge.starter[language]))
    db.add(attempt)
    db.flush()
    invite.attempt_id = attempt.id
    return attempt
