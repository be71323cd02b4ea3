"""Companies' own weights and knock-outs, laid over the guide's model."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from decision_guide import GuideError, Problem
from decision_guide.model import Decision
from webapp import audit
from webapp.accounts.models import Interviewer
from webapp.accounts.services import actor
from webapp.guide import decision_models
from webapp.guide.companies.models import Company
from webapp.guide.locks import one_at_a_time
from webapp.guide.milestones.models import Milestone
from webapp.guide.team.models import Assessment

FORMAT = "offsetzero-guide-overlay/1"
MOST_POINTS = 100


def listed(db: Session) -> Sequence[Company]:
    """All companies by name."""
    return db.scalars(select(Company).order_by(Company.name)).all()


def choices(db: Session) -> dict[str, str]:
    """The models one can score with, for a select: the guide's own first."""
    return {"": "The guide's own model", **{c.id: c.organisation for c in listed(db)}}


def create(db: Session, by: Interviewer, name: str, organisation: str) -> Company:
    """A company that so far changes nothing; the one just made when this is asked for twice.
    Raises GuideError when the name is taken."""
    one_at_a_time(db, "companies")
    overlay = {"format": FORMAT, "name": name, "organisation": organisation}
    if there := db.scalar(select(Company).where(Company.name == name)):
        if there.created_by == by.id and there.overlay == decision_models.fitted(overlay):
            return there
        raise GuideError.at("name", f"{name!r} is taken; choose another short name")
    company = Company(name=name, overlay={}, created_by=by.id)
    _save(db, by, company, overlay)
    return company


def used_by(db: Session, company: Company) -> Sequence[str]:
    """What would lose its model with the company: team assessments and milestones, in words."""
    teams = db.scalars(select(Assessment).where(Assessment.company_id == company.id))
    kept = db.scalars(select(Milestone).where(Milestone.company_id == company.id))
    return [
        *(f"the team assessment {one.title!r}" for one in teams),
        *(f"the milestone {one.name!r} of {one.title!r}" for one in kept),
    ]


def delete(db: Session, by: Interviewer, company: Company) -> None:
    """Delete a company's model, which nothing may use any more."""
    db.delete(company)
    target = f"guide-company:{company.id}"
    audit.record(db, audit.Tag.COMPANY_DELETED, actor=actor(by), target=target)


def weigh(
    db: Session,
    by: Interviewer,
    company: Company,
    decision: str,
    points: Mapping[str, float] | None,
) -> None:
    """Give a decision's criteria swing points; None: back to the guide's own weights.

    Raises GuideError when a criterion is missing or none has 100 points."""
    weights = dict(company.overlay.get("weights", {}))
    weights.pop(decision, None)
    if points is not None:
        weights[decision] = {"swing": dict(points)}
    _save(db, by, company, {**company.overlay, "weights": weights})


def add_knockout(db: Session, by: Interviewer, company: Company, knockout: dict[str, Any]) -> None:
    """Add a knock-out, whose id is OWN and a number; the same one only once. Raises GuideError
    when it does not fit."""
    own = company.overlay.get("knockouts", [])
    if knockout in [{key: k[key] for key in k if key != "id"} for k in own]:
        return
    numbers = [int(k["id"].removeprefix("OWN")) for k in own]
    id = f"OWN{max(numbers, default=0) + 1}"
    _save(db, by, company, {**company.overlay, "knockouts": [*own, {"id": id, **knockout}]})


def remove_knockout(db: Session, by: Interviewer, company: Company, id: str) -> None:
    """Remove a knock-out; nothing happens when there is none of that id."""
    left = [k for k in company.overlay.get("knockouts", []) if k["id"] != id]
    _save(db, by, company, {**company.overlay, "knockouts": left})


def _save(db: Session, by: Interviewer, company: Company, overlay: dict[str, Any]) -> None:
    decision_models.with_overlay(overlay)
    company.overlay = decision_models.fitted(overlay)
    db.add(company)
    db.flush()
    target = f"guide-company:{company.id}"
    audit.record(db, audit.Tag.COMPANY_CHANGED, actor=actor(by), target=target)


def points_of(decision: Decision, overlay: Mapping[str, Any]) -> Mapping[str, float]:
    """A decision's weights as swing points, the heaviest with 100: the company's own, else the
    guide's."""
    own = overlay.get("weights", {}).get(decision.id, {}).get("swing")
    if own and own.keys() == {c.id for c in decision.criteria}:
        return own
    heaviest = max(c.weight for c in decision.criteria)
    return {c.id: max(1, round(MOST_POINTS * c.weight / heaviest)) for c in decision.criteria}


def faults(company: Company) -> Sequence[Problem]:
    """What is wrong with the guide's model once the company's overlay lies on it."""
    if not (company.overlay.get("weights") or company.overlay.get("knockouts")):
        return ()
    try:
        return decision_models.faults(company.overlay)
    except GuideError as error:
        return error.problems
