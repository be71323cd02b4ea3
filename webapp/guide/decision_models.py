"""Which model scores: the guide's own, or that with a company's weights and knock-outs over it."""

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from flask import abort, request

from decision_guide import REASONS, Answers, Model, Problem, encode, lint, load_model, overlay
from webapp.db import session
from webapp.guide.companies.models import Company


@dataclass(frozen=True)
class Scoring:
    """A model, and the company whose it is; None for the guide's own."""

    model: Model
    company: Company | None = None

    @property
    def company_id(self) -> str | None:
        return self.company.id if self.company else None

    def codec(self) -> dict[str, Any]:
        """What a browser needs to read a permalink (decision_guide/permalink.py) by itself."""
        return {
            "name": encode(self.model, Answers()).rpartition(".")[0],
            "questions": [[q.id, [a.id for a in q.answers]] for q in self.model.questions],
            "reasons": REASONS,
            "company": self.company_id,
        }


@cache
def base() -> Model:
    """The model that ships with the guide."""
    return load_model()


def requested() -> Scoring:
    """The model that this request names; 404 when it names a company that is not there."""
    return of_company(request.values.get("company"))


def of_company(id: str | None) -> Scoring:
    """The model of a company by its id, the guide's own for None; 404 when there is none."""
    if not id:
        return Scoring(base())
    company = session().get(Company, id) or abort(404)
    return Scoring(with_overlay(company.overlay), company)


def with_overlay(document: dict[str, Any]) -> Model:
    """The guide's model of today with an overlay; GuideError when it does not fit."""
    return _overlaid(json.dumps(fitted(document)))


def faults(document: dict[str, Any]) -> tuple[Problem, ...]:
    """What lint finds in the model with an overlay; takes about a second the first time."""
    return _faults(json.dumps(fitted(document)))


def fitted(document: dict[str, Any]) -> dict[str, Any]:
    """An overlay, said to be for the guide's model of today."""
    return {**document, "base": f"{base().id}@{base().version}"}


@lru_cache(maxsize=32)
def _overlaid(text: str) -> Model:
    return overlay(base(), json.loads(text))


@lru_cache(maxsize=32)
def _faults(text: str) -> tuple[Problem, ...]:
    return tuple(lint(_overlaid(text)))
