"""The interviewers' list of candidates, as one query over invites, attempts and submits."""

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Select, case, func, literal, or_, select, true
from sqlalchemy.orm import Session

from webapp.invites.models import Invite
from webapp.runs.models import Kind, Run, State, Verdict
from webapp.workspace.models import Attempt

PAGE_SIZE = 50


class Stage(StrEnum):
    """How far a candidate is."""

    INVITED = "invited"
    EXPIRED = "expired"
    STARTED = "started"
    JUDGING = "judging"
    GRADED = "graded"
    NOT_GRADED = "not_graded"


SORTS = ("newest", "oldest", "name", "score")


@dataclass(frozen=True)
class Row:
    """One invite and what became of it; id is the attempt's, None before it began."""

    id: str | None
    invite_id: int
    candidate_name: str
    candidate_email: str
    challenge: str
    state: str
    verdict: str | None
    score: float | None
    invited_at: datetime
    started_at: datetime | None
    submitted_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True)
class Filters:
    """What the interviewer asked to see; empty texts ask for everything."""

    state: str = ""
    challenge: str = ""
    q: str = ""
    sort: str = "newest"


@dataclass(frozen=True)
class Page:
    number: int
    total: int
    size: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.size))


def candidates(db: Session, filters: Filters, page: int) -> tuple[list[Row], Page]:
    """One page of the list; a page that is not there becomes the nearest that is."""
    rows = matching(filters).subquery()
    total = db.scalar(select(func.count()).select_from(rows))
    number = min(max(page, 1), Page(1, total, PAGE_SIZE).pages)
    query = select(rows).order_by(*order(rows.c, filters.sort))
    found = db.execute(query.limit(PAGE_SIZE).offset((number - 1) * PAGE_SIZE))
    return [Row(**row._mapping) for row in found], Page(number, total, PAGE_SIZE)


def counts(db: Session) -> dict[str, int]:
    """How many candidates are at each stage; every stage is there."""
    rows = everyone().subquery()
    found = dict(db.execute(select(rows.c.state, func.count()).group_by(rows.c.state)).all())
    return {stage.value: found.get(stage, 0) for stage in Stage}


def matching(filters: Filters) -> Select:
    """The rows that pass the filters."""
    rows = everyone().subquery()
    query = select(*(rows.c[field.name] for field in fields(Row)))
    if filters.state:
        query = query.where(rows.c.state == filters.state)
    if filters.challenge:
        query = query.where(rows.c.challenge == filters.challenge)
    if filters.q:
        query = query.where(
            or_(
                rows.c.candidate_name.icontains(filters.q, autoescape=True),
                rows.c.candidate_email.icontains(filters.q, autoescape=True),
            )
        )
    return query


def order(columns, sort: str) -> list:
    """The order of the list; the invite's number settles ties, so pages do not overlap."""
    by = {
        "oldest": columns.invited_at,
        "name": func.lower(columns.candidate_name),
        "score": columns.score.desc().nulls_last(),
    }.get(sort, columns.invited_at.desc())
    return [by, columns.invite_id.desc()]


def everyone() -> Select:
    """Every invite (resume links are none) with its attempt and its last submit."""
    last = (
        select(Run.state, Run.created_at, Verdict.verdict, Verdict.score)
        .outerjoin(
            Verdict,
            (Verdict.run_id == Run.id) & (Verdict.grading_version == Run.grading_version),
        )
        .where(Run.attempt_id == Attempt.id, Run.kind == Kind.SUBMIT)
        .order_by(Run.number.desc())
        .limit(1)
        .lateral("last")
    )
    return (
        select(
            Attempt.id,
            Invite.id.label("invite_id"),
            func.coalesce(Attempt.candidate_name, Invite.candidate_name).label("candidate_name"),
            Invite.candidate_email,
            Invite.challenge,
            stage(last).label("state"),
            last.c.verdict,
            last.c.score,
            Invite.created_at.label("invited_at"),
            Attempt.started_at,
            last.c.created_at.label("submitted_at"),
            Invite.expires_at,
        )
        .outerjoin(Attempt, Attempt.id == Invite.attempt_id)
        .outerjoin(last, true())
        .where(~Invite.resume)
    )


def stage(last) -> case:
    """The stage of a row, in SQL. A cancelled submit counts as none."""
    return case(
        (
            Attempt.id.is_(None) & (Invite.expires_at < func.clock_timestamp()),
            literal(Stage.EXPIRED.value),
        ),
        (Attempt.id.is_(None), literal(Stage.INVITED.value)),
        (last.c.state.in_([State.QUEUED, State.RUNNING]), literal(Stage.JUDGING.value)),
        (last.c.state == State.DONE, literal(Stage.GRADED.value)),
        (last.c.state == State.FAILED_INTERNAL, literal(Stage.NOT_GRADED.value)),
        else_=literal(Stage.STARTED.value),
    )
