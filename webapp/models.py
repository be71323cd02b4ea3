"""Every table of the platform, so that one import knows the whole metadata."""

from webapp.accounts.models import Interviewer, LoginAttempt
from webapp.audit import AuditEvent
from webapp.db import Base
from webapp.guide.companies.models import Company
from webapp.guide.milestones.models import Milestone
from webapp.guide.team.models import Assessment, Rater
from webapp.invites.models import Invite
from webapp.runs.models import Run, RunEvent, Verdict
from webapp.sessions import BrowserSession
from webapp.workspace.models import Attempt, KeptCopy, Workspace

__all__ = [
    "Assessment",
    "Attempt",
    "AuditEvent",
    "Base",
    "BrowserSession",
    "Company",
    "Interviewer",
    "Invite",
    "KeptCopy",
    "LoginAttempt",
    "Milestone",
    "Rater",
    "Run",
    "RunEvent",
    "Verdict",
    "Workspace",
]
