"""Every table of the platform, so that one import knows the whole metadata."""

from webapp.accounts.models import Interviewer, LoginAttempt
from webapp.audit import AuditEvent
from webapp.db import Base
from webapp.invites.models import Invite
from webapp.runs.models import Run, RunEvent, Verdict
from webapp.sessions import BrowserSession
from webapp.workspace.models import Attempt, KeptCopy, Workspace

__all__ = [
    "Attempt",
    "AuditEvent",
    "Base",
    "BrowserSession",
    "Interviewer",
    "Invite",
    "KeptCopy",
    "LoginAttempt",
    "Run",
    "RunEvent",
    "Verdict",
    "Workspace",
]
