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
    """What one page shows. One question a page: it is the `number`-th of `total` that are asked;
    all on one: every question of the pass, and `number` is None."""

    way: Pass
    shown: tuple[Question, ...]
    number: int | None
    total: int


def chosen(form: Mapping[str, str]) -> Pass:
    """The pass that a request names; by default the full one, one question a page."""
    which = QUICK if form.get("pass") == QUICK else FULL
    return Pass(which, ALL if form.get("layout") == ALL else ONE)


def turn(model: Model, answers: Answers, form: Mapping[str, str]) -> Turn | None:
    """What to show after a request: `go` is NEXT or BACK from the question `at`, or the id of a
    question; without it the pass begins at its first open question. None: nothing is left."""
    way, go = chosen(form), form.get("go", "")
    if go not in ("", NEXT, BACK) and go not in [q.id for q in way.order(model)]:
        way = replace(way, which=FULL)
    if way.layout == ALL:
        return at(model, answers, way, "")
    following = _following(model, answers, way, go, form.get("at", ""))
    return None if following is None else at(model, answers, way, following)


def at(model: Model, answers: Answers, way: Pass, id: str) -> Turn:
    """The page that shows a question, or all of them."""
    asked = _asked(model, answers, way)
    if way.layout == ALL:
        return Turn(way, way.order(model), None, len(asked))
    question = model.questions[model.question(id)]
    ids = [q.id for q in asked]
    return Turn(way, (question,), ids.index(id) + 1 if id in ids else None, len(asked))


def _asked(model: Model, answers: Answers, way: Pass) -> list[Question]:
    wanted = {q.id for q in way.order(model)}
    pairs = zip(model.questions, is_asked(model, answers), strict=True)
    return [q for q, is_asked_ in pairs if is_asked_ and q.id in wanted]


def _following(model: Model, answers: Answers, way: Pass, go: str, here: str) -> str | None:
    """The question to show next, among those asked; `here` itself need not be asked."""
    asked = [q.id for q in _asked(model, answers, way)]
    order = [q.id for q in way.order(model)]
    place = order.index(here) if here in order else -1
    if go == NEXT:
        return next((id for id in order[place + 1 :] if id in asked), None)
    if go == BACK:
        return next((id for id in reversed(order[: max(place, 0)]) if id in asked), asked[0])
    return go or next((id for id in asked if id not in answers.given), asked[0])
