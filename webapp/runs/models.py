"""Runs of a candidate's program, what they said live, and the verdicts on them."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.db import Base, new_id
from webapp.workspace.models import Attempt


class Kind(StrEnum):
    """RUN plays the visible scenarios with a known seed; SUBMIT all, with a secret one."""

    RUN = "run"
    SUBMIT = "submit"


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED_INTERNAL = "failed_internal"  # we could not grade it; never the candidate's fault
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (State.QUEUED, State.RUNNING)


def as_text(enum: type[StrEnum]) -> Enum:
    """The column type that stores an enum's values as text."""
    return Enum(enum, native_enum=False, length=20, values_callable=lambda e: [m.value for m in e])


class Run(Base):
    """One request to judge the files as they were at that moment.

    The columns from `lease_token` on belong to the worker that judges it (see grading.leases).
    `grading_version` goes up by one each time the run is to be judged again; old verdicts stay.
    """

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("attempt_id", "number"),
        # One run of an attempt at a time, whatever the code does.
        Index(
            "uq_run_active",
            "attempt_id",
            unique=True,
            postgresql_where="state IN ('queued', 'running')",
        ),
        Index("ix_run_waiting", "created_at", postgresql_where="state IN ('queued', 'running')"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=new_id)
    attempt_id: Mapped[str] = mapped_column(Text, ForeignKey("attempt.id", ondelete="CASCADE"))
    number: Mapped[int]
    kind: Mapped[Kind] = mapped_column(as_text(Kind))
    files: Mapped[dict[str, str]]
    seed: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[State] = mapped_column(as_text(State), default=State.QUEUED)
    grading_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    lease_token: Mapped[str | None] = mapped_column(Text)
    leased_until: Mapped[datetime | None]
    worker: Mapped[str | None] = mapped_column(Text)

    attempt: Mapped[Attempt] = relationship()
    verdicts: Mapped[list["Verdict"]] = relationship(order_by="Verdict.grading_version")

    @property
    def current(self) -> "Verdict | None":
        """The verdict on this grading version; None while there is none."""
        return next((v for v in self.verdicts if v.grading_version == self.grading_version), None)

    @property
    def verdict(self) -> str | None:
        return self.current.verdict if self.current else None

    @property
    def score(self) -> float | None:
        return self.current.score if self.current else None


class Verdict(Base):
    """What was found; written once per run and grading version, never changed."""

    __tablename__ = "verdict"
    __table_args__ = (UniqueConstraint("run_id", "grading_version"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    run_id: Mapped[str] = mapped_column(Text, ForeignKey("run.id", ondelete="CASCADE"))
    grading_version: Mapped[int]
    verdict: Mapped[str] = mapped_column(Text)
    score: Mapped[float | None]
    report: Mapped[dict[str, Any]] = mapped_column(JSON)  # as text: keeps its order
    history: Mapped[str] = mapped_column(Text)  # folder below the workers' histories
    lease_token: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RunEvent(Base):
    """One thing shown live; `seq` counts from 1 within the run."""

    __tablename__ = "run_event"

    run_id: Mapped[str] = mapped_column(
        Text, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]]
