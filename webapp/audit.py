"""The audit log: who did what to whom, and when. Rows are added, never changed (a trigger)."""

import hashlib
import hmac
from datetime import datetime
from enum import StrEnum
from typing import Any

from flask import current_app, request
from sqlalchemy import Identity, Text, func
from sqlalchemy.orm import Mapped, Session, mapped_column

from webapp.db import Base


class Tag(StrEnum):
    """source:subject:action, as in `interviewer:session:login`."""

    LOGIN = "interviewer:session:login"
    LOGIN_FAILED = "interviewer:session:login-failed"
    LOGOUT = "interviewer:session:logout"
    PASSWORD_SET = "operator:interviewer:password-set"  # noqa: S105
    DISABLED = "operator:interviewer:disabled"
    INVITE_CREATED = "interviewer:invite:created"
    RESUME_CREATED = "interviewer:attempt:resume-link-created"
    INVITE_ACCEPTED = "candidate:invite:accepted"
    ATTEMPT_RESUMED = "candidate:attempt:resumed"
    ATTEMPT_VIEWED = "interviewer:attempt:viewed"
    REPORT_VIEWED = "interviewer:report:viewed"
    RUN_REQUESTED = "candidate:run:requested"
    RUN_CANCELLED = "candidate:run:cancelled"
    RUN_REGRADED = "interviewer:run:regraded"
    ASSESSMENT_CREATED = "interviewer:guide-assessment:created"
    ASSESSMENT_DELETED = "interviewer:guide-assessment:deleted"
    MILESTONE_KEPT = "interviewer:guide-milestone:kept"
    MILESTONE_DELETED = "interviewer:guide-milestone:deleted"
    COMPANY_CHANGED = "interviewer:guide-company:changed"
    COMPANY_DELETED = "interviewer:guide-company:deleted"
    VERDICT_RECORDED = "worker:run:verdict-recorded"
    RUN_GIVEN_UP = "worker:run:given-up"


class AuditEvent(Base):
    __tablename__ = "audit_event"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    tag: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text, index=True)
    address: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


def record(session: Session, tag: Tag, *, actor: str, target: str, **detail: Any) -> None:
    """Add a row in the session's transaction, so it stands exactly if the deed does."""
    address = hashed_address() if request else None
    session.add(AuditEvent(tag=tag, actor=actor, target=target, address=address, detail=detail))


def hashed_address() -> str:
    """The caller's address, so that equal ones can be told without keeping them."""
    key = current_app.config["SECRET_KEY"].encode()
    return hmac.new(key, (request.remote_addr or "").encode(), hashlib.sha256).hexdigest()[:32]
