"""An attempt at a challenge, and the candidate's files."""

from datetime import datetime

from sqlalchemy import ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.db import Base, new_id, utc_now


class Attempt(Base):
    """One candidate at one challenge; it begins when the invite is accepted."""

    __tablename__ = "attempt"

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=new_id)
    challenge: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)
    candidate_name: Mapped[str] = mapped_column(Text)
    candidate_email: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deadline: Mapped[datetime | None]
    submitted_at: Mapped[datetime | None]  # the last Submit

    workspace: Mapped["Workspace"] = relationship(back_populates="attempt")

    @property
    def revision(self) -> int:
        return self.workspace.revision

    @property
    def over(self) -> bool:
        """Whether the time limit, if there is one, has passed."""
        return self.deadline is not None and utc_now() >= self.deadline


class Workspace(Base):
    """The files as last saved; the revision counts the saves."""

    __tablename__ = "workspace"

    attempt_id: Mapped[str] = mapped_column(
        Text, ForeignKey("attempt.id", ondelete="CASCADE"), primary_key=True
    )
    revision: Mapped[int] = mapped_column(default=1)
    files: Mapped[dict[str, str]]
    saved_at: Mapped[datetime] = mapped_column(default=utc_now)

    attempt: Mapped[Attempt] = relationship(back_populates="workspace")


class KeptCopy(Base):
    """Files that came too late to be the next revision: kept, so nothing typed is lost."""

    __tablename__ = "kept_copy"

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=new_id)
    attempt_id: Mapped[str] = mapped_column(
        Text, ForeignKey("attempt.id", ondelete="CASCADE"), index=True
    )
    base: Mapped[int]
    files: Mapped[dict[str, str]]
    kept_at: Mapped[datetime] = mapped_column(default=utc_now)
