"""Companies with weights and knock-outs of their own."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Base, new_id


class Company(Base):
    """One company's overlay on the guide's model (decision_guide/overlay.py).

    Who has the id, which cannot be guessed, may score with it; interviewers may change it."""

    __tablename__ = "guide_company"

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(Text, unique=True)
    overlay: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_by: Mapped[int] = mapped_column(ForeignKey("interviewer.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def organisation(self) -> str:
        return self.overlay["organisation"]
