"""Team assessments: nobody sees another's answers before all have answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from decision_guide import Answers, Model, Review, merge, parse_answers, settle
from webapp import audit
from webapp.accounts.models import Interviewer
from webapp.accounts.services import actor
from webapp.db import new_id, utc_now
from webapp.guide.locks import one_at_a_time
from webapp.guide.team.models import FEWEST_RATERS, Assessment, Rater


class NotNow(Exception):
    """The assessment is past the point where this may be done; the message says why."""


@dataclass(frozen=True)
class Revealed:
    """What everybody said, and what the team agreed on: the common answers, with the
    facilitator's word where they differed."""

    review: Review
    agreed: Answers


def create(
    db: Session,
    by: Interviewer,
    title: str,
    names: Sequence[str],
    company_id: str | None,
    id: str | None = None,
) -> Assessment:
    """An assessment with its raters, who have not answered yet; the one just made when the same
    `id` is asked for twice."""
    one_at_a_time(db, "assessments")
    if id and (there := db.get(Assessment, id)) and there.created_by == by.id:
        return there
    raters = [Rater(name=name) for name in names]
    assessment = Assessment(title=title, company_id=company_id, created_by=by.id, raters=raters)
    assessment.id = id or new_id()
    db.add(assessment)
    db.flush()
    target = f"guide-assessment:{assessment.id}"
    audit.record(db, audit.Tag.ASSESSMENT_CREATED, actor=actor(by), target=target)
    return assessment


def delete(db: Session, by: Interviewer, assessment: Assessment) -> None:
    """Delete an assessment with all that its raters said."""
    db.delete(assessment)
    target = f"guide-assessment:{assessment.id}"
    audit.record(db, audit.Tag.ASSESSMENT_DELETED, actor=actor(by), target=target)


def listed(db: Session) -> Sequence[Assessment]:
    """All assessments, the newest first."""
    return db.scalars(select(Assessment).order_by(Assessment.created_at.desc())).all()


def locked(db: Session, assessment: Assessment) -> Assessment:
    """The assessment as it is now, which nobody else changes before this transaction ends."""
    query = select(Assessment).where(Assessment.id == assessment.id).with_for_update()
    db.scalars(query.execution_options(populate_existing=True)).one()
    db.refresh(assessment, ["raters"])
    return assessment


def add_rater(db: Session, assessment: Assessment, name: str) -> None:
    """One more person to answer. Raises NotNow once the answers are revealed."""
    if locked(db, assessment).revealed:
        raise NotNow("Everybody has answered and seen the answers; nobody can join any more.")
    if name in [rater.name for rater in assessment.raters]:
        raise NotNow(f"{name} is asked already.")
    assessment.raters.append(Rater(name=name))


def remove_rater(db: Session, assessment: Assessment, rater_id: int) -> None:
    """Wait no longer for somebody. Raises NotNow for one who has answered, or is needed."""
    locked(db, assessment)
    rater = next((r for r in assessment.waiting_for if r.id == rater_id), None)
    if rater is None:
        raise NotNow("Who has answered stays part of the assessment.")
    if len(assessment.raters) <= FEWEST_RATERS:
        raise NotNow(f"At least {FEWEST_RATERS} people must answer.")
    assessment.raters.remove(rater)


def answers_of(model: Model, rater: Rater) -> Answers:
    """What a rater has said so far."""
    return parse_answers(model, rater.answers) if rater.answers else Answers()


def keep(db: Session, model: Model, rater: Rater, answers: Answers, *, final: bool) -> None:
    """Store a rater's answers, for good when `final`. Raises NotNow when they were stored for good
    already, or nobody asks for them any more."""
    if rater not in locked(db, rater.assessment).raters:
        raise NotNow("You are not asked for answers any more.")
    db.refresh(rater)
    if rater.submitted_at:
        raise NotNow("Your answers are in; they cannot be changed any more.")
    rater.answers = answers.to_json(model)
    rater.submitted_at = utc_now() if final else None


def reveal(model: Model, assessment: Assessment) -> Revealed:
    """What everybody said. Only for an assessment that is revealed."""
    assert assessment.revealed
    review = merge(model, {r.name: answers_of(model, r) for r in assessment.raters})
    agreed = review.common
    for question, value in assessment.settled.items():
        given = parse_answers(model, {"answers": {question: value}}).given[question]
        agreed = settle(agreed, question, given, given.note)
    return Revealed(review, Answers(agreed.given, assessment.title))


def settle_question(
    db: Session, model: Model, assessment: Assessment, question: str, word: Mapping[str, str]
) -> None:
    """The facilitator's word on a question on which the raters differ, as in ANSWERS.json, with a
    note.

    Raises NotNow before the reveal, and for a question on which all agree; GuideError for what is
    no answer."""
    if not locked(db, assessment).revealed:
        raise NotNow("Not everybody has answered yet.")
    spreads = reveal(model, assessment).review.spreads
    if question not in [s.question for s in spreads if not s.agreed]:
        raise NotNow("On this question everybody agrees.")
    parse_answers(model, {"answers": {question: dict(word)}})
    assessment.settled = {**assessment.settled, question: dict(word)}
