"""Interviewers, and the attempts to log in as one."""

from datetime import datetime

from sqlalchemy import Identity, Index, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Base


class Interviewer(Base):
    __tablename__ = "interviewer"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)  # lower case
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]


class LoginAttempt(Base):
    """A login that has not succeeded; a success removes those of its account and address."""

    __tablename__ = "login_attempt"
    __table_args__ = (Index(None, "email", "at"), Index(None, "address", "at"))

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
