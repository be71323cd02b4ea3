"""Passwords and logins.

Every login is counted before its password is looked at, so no number of parallel guesses gets past
the limits; they close (refuse) when in doubt. An unknown e-mail costs the same time and gets the
same answer as a wrong password.
"""

import secrets
from datetime import timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from webapp import audit, sessions
from webapp.accounts.models import Interviewer, LoginAttempt
from webapp.db import utc_now

# OWASP's parameters for argon2id (Password Storage Cheat Sheet): 19 MiB, 2 passes, 1 lane.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
WINDOW = timedelta(minutes=15)
PER_ACCOUNT_AND_ADDRESS, PER_ADDRESS, PER_ACCOUNT = 5, 30, 100


class TooManyLogins(Exception):
    """The limit is reached; the argument is the number of seconds to wait at most."""


@cache
def _nobody() -> str:
    return HASHER.hash(secrets.token_urlsafe())


def authenticate(db: Session, email: str, password: str, address: str) -> Interviewer | None:
    """The interviewer with this e-mail and password, None when there is none.

    Raises TooManyLogins. The count of failures stays even so: the caller must not roll back.
    """
    email = email.strip().lower()
    _count(db, email, address)
    interviewer = db.scalar(select(Interviewer).where(Interviewer.email == email))
    usable = interviewer is not None and interviewer.disabled_at is None
    right = _matches(interviewer.password_hash if usable else _nobody(), password)
    if not (usable and right):
        audit.record(db, audit.Tag.LOGIN_FAILED, actor=email, target=email)
        return None
    _forget(db, email, address)
    if HASHER.check_needs_rehash(interviewer.password_hash):
        interviewer.password_hash = HASHER.hash(password)
    audit.record(db, audit.Tag.LOGIN, actor=actor(interviewer), target=actor(interviewer))
    return interviewer


def set_password(db: Session, email: str, name: str | None = None) -> tuple[Interviewer, str]:
    """Give an interviewer, made if there is none with this e-mail, a new random password.

    Returns both. All sessions of the interviewer end; a disabled account works again.
    """
    email = email.strip().lower()
    password = secrets.token_urlsafe(15)
    interviewer = db.scalar(select(Interviewer).where(Interviewer.email == email))
    if interviewer is None:
        interviewer = Interviewer(email=email, name=name or email.partition("@")[0])
        db.add(interviewer)
    interviewer.name = name or interviewer.name
    interviewer.password_hash = HASHER.hash(password)
    interviewer.disabled_at = None
    db.flush()
    sessions.log_out_everywhere(db, interviewer)
    audit.record(db, audit.Tag.PASSWORD_SET, actor="operator", target=actor(interviewer))
    return interviewer, password


def disable(db: Session, email: str) -> bool:
    """Close an account and end its sessions; False when there is no such account."""
    interviewer = db.scalar(select(Interviewer).where(Interviewer.email == email.strip().lower()))
    if interviewer is None:
        return False
    interviewer.disabled_at = utc_now()
    sessions.log_out_everywhere(db, interviewer)
    audit.record(db, audit.Tag.DISABLED, actor="operator", target=actor(interviewer))
    return True


def actor(interviewer: Interviewer) -> str:
    """How an interviewer is called in the audit log."""
    return f"interviewer:{interviewer.id}"


def _matches(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except VerifyMismatchError:
        return False


def _count(db: Session, email: str, address: str) -> None:
    # Parallel logins of one account, or from one address, wait here until the first has ended.
    for name in sorted((f"login {email}", f"login {address}")):
        db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
    recent = select(func.count()).select_from(LoginAttempt)
    recent = recent.where(LoginAttempt.at > utc_now() - WINDOW)
    same_email, same_address = LoginAttempt.email == email, LoginAttempt.address == address
    if (
        db.scalar(recent.where(same_email, same_address)) >= PER_ACCOUNT_AND_ADDRESS
        or db.scalar(recent.where(same_address)) >= PER_ADDRESS
        or db.scalar(recent.where(same_email)) >= PER_ACCOUNT
    ):
        raise TooManyLogins(int(WINDOW.total_seconds()))
    db.add(LoginAttempt(email=email, address=address))
    db.flush()


def _forget(db: Session, email: str, address: str) -> None:
    db.execute(
        delete(LoginAttempt).where(LoginAttempt.email == email, LoginAttempt.address == address)
    )
