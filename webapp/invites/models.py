"""Links that let a candidate in."""

from datetime import datetime

from sqlalchemy import ForeignKey, Identity, LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Base


class Invite(Base):
    """A link for one use. Only the SHA-256 of its 32 random bytes is stored.

    An invite gets its attempt when it is accepted. A `resume` link has one from the start: it
    opens that attempt in another browser.
    """

    __tablename__ = "invite"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    challenge: Mapped[str] = mapped_column(Text)
    candidate_name: Mapped[str] = mapped_column(Text)
    candidate_email: Mapped[str] = mapped_column(Text)
    minutes: Mapped[int | None]  # the time limit from acceptance on; None means no limit
    resume: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[int] = mapped_column(ForeignKey("interviewer.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    attempt_id: Mapped[str | None] = mapped_column(
        Text, ForeignKey("attempt.id", ondelete="CASCADE"), index=True
    )
