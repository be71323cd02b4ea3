"""Milestones: results kept as they were, and looked at again under the model of today."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from decision_guide import Answers, GuideError, Model, Rescored, Result, milestone, rescore
from webapp import audit
from webapp.accounts.models import Interviewer
from webapp.accounts.services import actor
from webapp.db import utc_now
from webapp.guide import brought
from webapp.guide.locks import one_at_a_time
from webapp.guide.milestones.models import Milestone

UNTITLED = "Untitled"


def keep(
    db: Session, by: Interviewer, name: str, result: Result, company_id: str | None
) -> Milestone:
    """Keep a result under a name; the one just kept when this is asked for twice. Raises GuideError
    when its title has another milestone of that name."""
    one_at_a_time(db, "milestones")
    title, at = result.answers.title or UNTITLED, utc_now()
    document = dict(milestone(name, at.date().isoformat(), result).document)
    taken = select(Milestone).where(Milestone.title == title, Milestone.name == name)
    if there := db.scalar(taken):
        if there.document == document:
            return there
        raise GuideError.at("name", f"{title!r} has a milestone {name!r} already; choose another")
    kept = Milestone(
        title=title,
        name=name,
        company_id=company_id,
        document=document,
        created_by=by.id,
        created_at=at,
    )
    db.add(kept)
    db.flush()
    target = f"guide-milestone:{kept.id}"
    audit.record(db, audit.Tag.MILESTONE_KEPT, actor=actor(by), target=target)
    return kept


def delete(db: Session, by: Interviewer, kept: Milestone) -> None:
    """Delete a milestone as a whole; nothing of it can be changed."""
    db.delete(kept)
    target = f"guide-milestone:{kept.id}"
    audit.record(db, audit.Tag.MILESTONE_DELETED, actor=actor(by), target=target)


def listed(db: Session) -> Sequence[Milestone]:
    """All milestones by title, the oldest first within each."""
    return db.scalars(select(Milestone).order_by(Milestone.title, Milestone.created_at)).all()


def later(db: Session, kept: Milestone) -> Sequence[Milestone]:
    """The milestones of the same title that came after this one."""
    query = select(Milestone).where(
        Milestone.title == kept.title, Milestone.created_at > kept.created_at
    )
    return db.scalars(query.order_by(Milestone.created_at)).all()


def answers_of(model: Model, kept: Milestone) -> Answers:
    """The answers of a milestone, carried over to the model."""
    return brought.from_document(model, kept.document).answers


def again(model: Model, kept: Milestone, against: Milestone | None = None) -> Rescored:
    """A milestone under the model of today, and what the answers of `against` change besides."""
    answers = answers_of(model, against) if against else None
    return rescore(kept.document, model, answers)
