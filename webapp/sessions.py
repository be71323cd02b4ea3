"""Who a browser is: server-side sessions, one cookie for an interviewer and one per attempt.

The cookie holds 32 random bytes; the database only their SHA-256. A row belongs to one interviewer
or to one attempt, so a person who is both in one browser (everybody who tries the demo) keeps them
apart, and ending one leaves the other. On plain http the cookies can be neither Secure nor carry
the `__Host-` prefix; that is for use on one's own machine.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from flask import after_this_request, current_app, g, request
from sqlalchemy import CheckConstraint, ForeignKey, Identity, LargeBinary, Text, func, select
from sqlalchemy import update as sql_update
from sqlalchemy.orm import Mapped, Session, mapped_column

from webapp.accounts.models import Interviewer
from webapp.db import Base, session, utc_now
from webapp.workspace.models import Attempt

INTERVIEWER_IDLE, INTERVIEWER_LIFE = timedelta(hours=2), timedelta(hours=12)
CANDIDATE_IDLE, CANDIDATE_LIFE = timedelta(days=2), timedelta(days=14)
SEEN_EVERY = timedelta(minutes=1)  # how exactly `seen_at` is kept, to spare a write per request


class BrowserSession(Base):
    __tablename__ = "browser_session"
    __table_args__ = (
        CheckConstraint("num_nonnulls(interviewer_id, attempt_id) = 1", name="one_owner"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    interviewer_id: Mapped[int | None] = mapped_column(ForeignKey("interviewer.id"), index=True)
    attempt_id: Mapped[str | None] = mapped_column(
        Text, ForeignKey("attempt.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime]
    idle_until: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


def new_token() -> tuple[str, bytes]:
    """A secret for a cookie or a link, and the hash of it that may be stored."""
    token = secrets.token_urlsafe(32)
    return token, token_hash(token)


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def log_in(interviewer: Interviewer) -> None:
    """Begin an interviewer's session in this browser; one that was open ends."""
    log_out()
    open_session(cookie_name(), INTERVIEWER_IDLE, INTERVIEWER_LIFE, interviewer_id=interviewer.id)
    g.interviewer = interviewer


def log_out() -> None:
    """End the interviewer's session of this browser, if there is one."""
    if row := _live(session(), cookie_name()):
        row.ended_at = utc_now()
    g.interviewer = None
    _send_cookie(cookie_name(), "", max_age=0)


def log_out_everywhere(db: Session, interviewer: Interviewer) -> None:
    """End all sessions of an interviewer."""
    db.execute(
        sql_update(BrowserSession)
        .where(BrowserSession.interviewer_id == interviewer.id, BrowserSession.ended_at.is_(None))
        .values(ended_at=utc_now())
    )


def enter_attempt(attempt: Attempt) -> None:
    """Give this browser the candidate's session of an attempt."""
    open_session(cookie_name(attempt.id), CANDIDATE_IDLE, CANDIDATE_LIFE, attempt_id=attempt.id)


def current_interviewer() -> Interviewer | None:
    """The interviewer logged in at this browser, or None."""
    if "interviewer" not in g:
        row = _live(session(), cookie_name())
        g.interviewer = session().get(Interviewer, row.interviewer_id) if row else None
        if g.interviewer and g.interviewer.disabled_at:
            g.interviewer = None
    return g.interviewer


def holds_attempt(attempt_id: str) -> bool:
    """Whether this browser has the candidate's session of that attempt."""
    row = _live(session(), cookie_name(attempt_id))
    return row is not None and row.attempt_id == attempt_id


def cookie_name(attempt_id: str | None = None) -> str:
    """The name of the interviewer's cookie, or of the cookie of an attempt."""
    name = f"attempt-{attempt_id}" if attempt_id else "interviewer"
    return f"__Host-{name}" if current_app.config["SESSION_COOKIE_SECURE"] else name


def open_session(cookie: str, idle: timedelta, life: timedelta, **owner: object) -> None:
    """Store a new session row for `owner` and send its cookie with this answer."""
    token, hashed = new_token()
    now = utc_now()
    session().add(
        BrowserSession(
            token_hash=hashed, seen_at=now, idle_until=now + idle, expires_at=now + life, **owner
        )
    )
    _send_cookie(cookie, token, max_age=int(life.total_seconds()))


def _live(db: Session, cookie: str) -> BrowserSession | None:
    token = request.cookies.get(cookie)
    if not token:
        return None
    now = utc_now()
    row = db.scalar(
        select(BrowserSession).where(
            BrowserSession.token_hash == token_hash(token),
            BrowserSession.ended_at.is_(None),
            BrowserSession.idle_until > now,
            BrowserSession.expires_at > now,
        )
    )
    if row and now - row.seen_at > SEEN_EVERY:
        row.idle_until, row.seen_at = now + (row.idle_until - row.seen_at), now
    return row


def _send_cookie(name: str, value: str, max_age: int) -> None:
    secure = current_app.config["SESSION_COOKIE_SECURE"]

    @after_this_request
    def send(response):
        response.set_cookie(
            name, value, max_age=max_age, path="/", secure=secure, httponly=True, samesite="Lax"
        )
        return response
