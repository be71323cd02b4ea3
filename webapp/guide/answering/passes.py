"""Which questions a page shows: the quick pass or the full one, one question a page or all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from decision_guide import Answers, Model, is_asked
from decision_guide.model import Question

QUICK, FULL = "quick", "full"
ONE, ALL = "one", "all"
NEXT, BACK = "next", "back"


@dataclass(frozen=True)
class Pass:
    """How somebody goes through the questions."""

    which: str = FULL
    layout: str = ONE

    def order(self, model: Model) -> tuple[Question, ...]:
        """All its questions, asked or not."""
        return model.quick if self.which == QUICK else model.questions


@dataclass(frozen=True)
class Turn:
    """What one page shows: one question, or every question of the pass. `asked` are the ids of
    those in the pass that are asked, given the answers."""

    way: Pass
    shown: tuple[Question, ...]
    asked: tuple[str, ...]

    @property
    def number(self) -> int | None:
        """The place of the one question among those asked, from 1; None when it has none."""
        id = self.shown[0].id
        alone = self.way.layout == ONE and id in self.asked
        return self.asked.index(id) + 1 if alone else None


def chosen(form: Mapping[str, str]) -> Pass:
    """The pass that a request names; by default the full one, one question a page."""
    which = QUICK if form.get("pass") == QUICK else FULL
    return Pass(which, ALL if form.get("layout") == ALL else ONE)


def turn(model: Model, answers: Answers, form: Mapping[str, str]) -> Turn | None:
    """What to show after a request: `go` is NEXT or BACK from the question `at`, or the id of a
    question; without it the pass begins at its first open question. None: nothing is left."""
    way, go = chosen(form), form.get("go", "")
    if go in [q.id for q in model.questions] and go not in [q.id for q in way.order(model)]:
        way = replace(way, which=FULL)
    if way.layout == ALL:
        return at(model, answers, way, "")
    following = _following(model, answers, way, go, form.get("at", ""))
    return None if following is None else at(model, answers, way, following)


def at(model: Model, answers: Answers, way: Pass, id: str) -> Turn:
    """The page that shows a question, or all of them."""
    shown = way.order(model) if way.layout == ALL else (model.questions[model.question(id)],)
    return Turn(way, shown, _asked(model, answers, way))


def _asked(model: Model, answers: Answers, way: Pass) -> tuple[str, ...]:
    wanted = {q.id for q in way.order(model)}
    pairs = zip(model.questions, is_asked(model, answers), strict=True)
    return tuple(q.id for q, asked in pairs if asked and q.id in wanted)


def _following(model: Model, answers: Answers, way: Pass, go: str, here: str) -> str | None:
    """The question to show next, among those asked; `here` itself need not be asked."""
    asked = _asked(model, answers, way)
    order = [q.id for q in way.order(model)]
    place = order.index(here) if here in order else -1
    if go == NEXT:
        return next((id for id in order[place + 1 :] if id in asked), None)
    if go == BACK:
        return next((id for id in reversed(order[: max(place, 0)]) if id in asked), asked[0])
    if go in [q.id for q in model.questions]:
        return go
    return next((id for id in asked if id not in answers.given), asked[0])
