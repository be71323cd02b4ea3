"""Where the bars of a chart stand. Every chart is a table whose rows hold a bar each, drawn in a
picture 100 wide; the numbers stand beside it."""

from collections.abc import Iterable
from dataclasses import dataclass

from decision_guide.result import DecisionResult, Reason, Versus, WeightRange

WIDTH = 100.0
SMALL = 0.005
"""Contributions below this are drawn as one bar; the table of numbers has each of them."""
MARGIN = 0.04


@dataclass(frozen=True)
class Scale:
    """Maps values to places across the picture."""

    low: float
    high: float

    def at(self, value: float) -> float:
        return round(WIDTH * (value - self.low) / (self.high - self.low), 3)

    def span(self, start: float, end: float) -> tuple[float, float]:
        """Left edge and width of the bar between two values."""
        left, right = sorted((self.at(start), self.at(end)))
        return left, round(right - left, 3)


UNIT = Scale(0.0, 1.0)


@dataclass(frozen=True)
class Step:
    """One bar of a waterfall: from `start` to `end` (places across), for an `amount`. The first
    and the last are the two scores, whose amount is None and whose `score` is given."""

    title: str
    note: str
    amount: float | None
    score: float | None
    start: float
    end: float

    @property
    def left(self) -> float:
        return min(self.start, self.end)

    @property
    def width(self) -> float:
        return round(abs(self.end - self.start), 3)


def waterfall(found: DecisionResult, versus: Versus) -> list[Step]:
    """From the rival's score over each contribution to the score of what is recommended."""
    rival = found.option(versus.rival)
    winner = found.option(found.recommended or "")
    parts = [*_large(versus.reasons), *_small(versus.reasons)]
    places = [rival.score]
    for _, _, amount in parts:
        places.append(places[-1] + amount)
    scale = _around(places)
    steps = [_score(rival.label, rival.score, scale)]
    for (title, note, amount), start, end in zip(parts, places, places[1:], strict=False):
        steps.append(Step(title, note, amount, None, scale.at(start), scale.at(end)))
    return [*steps, _score(winner.label, winner.score, scale)]


def holding(ranges: Iterable[WeightRange]) -> list[WeightRange]:
    """Those ranges of weights in which the recommendation does stay first."""
    return [r for r in ranges if r.low <= r.high]


def _score(label: str, score: float, scale: Scale) -> Step:
    return Step(label, "score", None, score, scale.at(score), scale.at(score))


def _large(reasons: Iterable[Reason]) -> list[tuple[str, str, float]]:
    return [(r.title, r.answer, r.amount) for r in reasons if abs(r.amount) >= SMALL]


def _small(reasons: Iterable[Reason]) -> list[tuple[str, str, float]]:
    rest = [r.amount for r in reasons if abs(r.amount) < SMALL]
    many = f"{len(rest)} criteria" if len(rest) > 1 else "1 criterion"
    return [("All others", many, sum(rest))] if rest else []


def _around(places: list[float]) -> Scale:
    low, high = min(places), max(places)
    margin = (high - low or 0.1) * MARGIN
    return Scale(low - margin, high + margin)
