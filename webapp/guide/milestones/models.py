"""Results under a name, as they were."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Text, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Base, new_id


class Milestone(Base):
    """A result's document (decision_guide.Result.to_json), with the version and the hash of the
    model it was made with. Rows are never changed: a trigger sees to it."""

    __tablename__ = "guide_milestone"
    __table_args__ = (UniqueConstraint("title", "name"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=new_id)
    title: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    company_id: Mapped[str | None] = mapped_column(ForeignKey("guide_company.id"))
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_by: Mapped[int] = mapped_column(ForeignKey("interviewer.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
