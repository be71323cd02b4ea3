"""Assessments that several people make, each blind to the others until all have answered."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Identity, Text, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.db import Base, new_id

FEWEST_RATERS = 2


class Rater(Base):
    """One person; `answers` is an ANSWERS.json, which nobody else sees before the reveal."""

    __tablename__ = "guide_rater"
    __table_args__ = (UniqueConstraint("assessment_id", "name"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    assessment_id: Mapped[str] = mapped_column(
        ForeignKey("guide_assessment.id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(Text)
    answers: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    submitted_at: Mapped[datetime | None]

    assessment: Mapped["Assessment"] = relationship(back_populates="raters")


class Assessment(Base):
    """What a team decides about. `settled` holds the facilitator's word, by question, as in
    ANSWERS.json."""

    __tablename__ = "guide_assessment"

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=new_id)
    title: Mapped[str] = mapped_column(Text)
    company_id: Mapped[str | None] = mapped_column(ForeignKey("guide_company.id"))
    settled: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_by: Mapped[int] = mapped_column(ForeignKey("interviewer.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    raters: Mapped[list[Rater]] = relationship(
        back_populates="assessment", order_by=Rater.id, cascade="all, delete-orphan"
    )

    @property
    def waiting_for(self) -> list[Rater]:
        """Those who have not answered yet."""
        return [rater for rater in self.raters if rater.submitted_at is None]

    @property
    def revealed(self) -> bool:
        """Whether everybody has answered, so that everybody may see it."""
        return len(self.raters) >= FEWEST_RATERS and not self.waiting_for
