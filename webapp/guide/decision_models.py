"""Which model scores: the guide's own, or that with a company's weights and knock-outs over it."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from decision_guide import REASONS, Answers, Model, encode, load_model


@dataclass(frozen=True)
class Scoring:
    """A model, and the id of the company it was asked for; None for the guide's own."""

    model: Model
    company: str | None = None

    def codec(self) -> dict[str, Any]:
        """What a browser needs to read a permalink (decision_guide/permalink.py) by itself."""
        return {
            "name": encode(self.model, Answers()).rpartition(".")[0],
            "questions": [[q.id, [a.id for a in q.answers]] for q in self.model.questions],
            "reasons": REASONS,
            "company": self.company,
        }


@cache
def base() -> Model:
    """The model that ships with the guide."""
    return load_model()


def requested() -> Scoring:
    """The model that this request names."""
    return Scoring(base())
