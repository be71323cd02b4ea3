"""Two sets of answers side by side, and an old result under the model of today."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decision_guide import (
    Answers,
    Comparison,
    Model,
    Rescored,
    Result,
    compare,
    evaluate,
    rescore,
)
from decision_guide.result import DecisionResult


@dataclass(frozen=True)
class SideBySide:
    """Both results under one model, and what each difference does. `rescored` is there when the
    first set came with the result that it once had."""

    before: Result
    after: Result
    comparison: Comparison
    rescored: Rescored | None

    @property
    def decisions(self) -> list[tuple[DecisionResult, DecisionResult]]:
        return list(zip(self.before.decisions, self.after.decisions, strict=True))


def side_by_side(
    model: Model, before: Answers, after: Answers, old: Mapping[str, Any] | None = None
) -> SideBySide:
    """Compare two sets of answers; `old` is the document of the result that the first once had."""
    return SideBySide(
        before=evaluate(model, before),
        after=evaluate(model, after),
        comparison=compare(model, before, after),
        rescored=rescore(old, model, after) if old else None,
    )
