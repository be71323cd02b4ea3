"""Results over time: two compared, and an old one looked at again under a newer model.

A milestone is a result's JSON document under a name; it is never changed. What differs from it
later is told apart: because answers changed, or because the model did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decision_guide.answers import Answers, as_asked, levels_of, parse_answers
from decision_guide.errors import GuideError
from decision_guide.evaluation import choose_only
from decision_guide.model import Model
from decision_guide.result import FORMAT, Result
from decision_guide.scoring import all_scores


@dataclass(frozen=True)
class Milestone:
    """A named result. `at` is an ISO date; `document` is what Result.to_json gave."""

    name: str
    at: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Moved:
    """A decision that came out differently; None stands for no option."""

    decision: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class AnswerChange:
    """An answer that differs. `alone` are the decisions it would move if nothing else had changed,
    and `gaps` how far it moves the first recommendation's lead in each decision it touches."""

    question: str
    before: Any
    after: Any
    alone: tuple[Moved, ...]
    gaps: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Two sets of answers under one model: each change by itself, and all together."""

    answers: tuple[AnswerChange, ...]
    together: tuple[Moved, ...]


@dataclass(frozen=True)
class Rescored:
    """An old result under the model of today, in two steps: the old answers under the new model
    (`by_model`), then today's answers (`by_answers`). `notices` tell what could not be carried."""

    old_model: str
    new_model: str
    by_model: tuple[Moved, ...]
    by_answers: tuple[Moved, ...]
    notices: tuple[str, ...]


def check_result(document: Mapping[str, Any]) -> None:
    """Raise GuideError when a document is no result that `rescore` can read."""
    model, decisions = document.get("model"), document.get("decisions")
    named = isinstance(model, dict) and all(
        isinstance(model.get(key), str) for key in ("id", "version", "hash")
    )
    if not named:
        raise GuideError.at("$.model", "must name the model of the result: id, version and hash")
    if not (isinstance(decisions, list) and all(map(_is_outcome, decisions))):
        raise GuideError.at("$.decisions", "must be a list of decisions, each with what it came to")


def _is_outcome(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("id"), str)
        and isinstance(found.get("recommended", 0), str | None)
    )


def compare(model: Model, before: Answers, after: Answers) -> Comparison:
    """What the differences between two sets of answers do. Single effects need not add up to the
    whole, since knock-outs interact."""
    changed = [q.id for q in model.questions if _value(before, q.id) != _value(after, q.id)]
    base = choose_only(model, before)
    return Comparison(
        answers=tuple(_answer_change(model, before, after, id, base) for id in changed),
        together=_moved(base, choose_only(model, after)),
    )


def rescore(old: Mapping[str, Any], model: Model, answers: Answers | None = None) -> Rescored:
    """Look at an old result's document again under `model`, and with `answers` where given."""
    carried = parse_answers(model, {k: v for k, v in old["answers"].items() if k != "hash"})
    then = {d["id"]: d["recommended"] for d in old["decisions"]}
    under_new_model = choose_only(model, carried)
    now = under_new_model if answers is None else choose_only(model, answers)
    named = old["model"]
    return Rescored(
        old_model=f"{named['id']}@{named['version']} ({named['hash']})",
        new_model=f"{model.id}@{model.version} ({model.hash})",
        by_model=_moved(then, under_new_model),
        by_answers=_moved(under_new_model, now),
        notices=carried.notices,
    )


def milestone(name: str, at: str, result: Result) -> Milestone:
    """The result under a name, as of an ISO date."""
    document = result.to_json()
    assert document["format"] == FORMAT
    return Milestone(name, at, document)


def _value(answers: Answers, question: str) -> Any:
    given = answers.given.get(question)
    return None if given is None else (given.level, given.reason)


def _answer_change(
    model: Model, before: Answers, after: Answers, id: str, base: dict[str, str | None]
) -> AnswerChange:
    given = dict(before.given)
    given.pop(id, None)
    if id in after.given:
        given[id] = after.given[id]
    alone = Answers(given)
    return AnswerChange(
        question=id,
        before=before.to_json(model)["answers"].get(id),
        after=after.to_json(model)["answers"].get(id),
        alone=_moved(base, choose_only(model, alone)),
        gaps=_gap_changes(model, before, alone, base),
    )


def _gap_changes(
    model: Model, before: Answers, after: Answers, base: dict[str, str | None]
) -> dict[str, float]:
    old, new = _leads(model, before, base), _leads(model, after, base)
    return {id: new[id] - old[id] for id in old if abs(new[id] - old[id]) > 1e-12}


def _leads(model: Model, answers: Answers, base: dict[str, str | None]) -> dict[str, float]:
    """By decision the score of the first recommendation less that of its best rival."""
    scores = all_scores(model, as_asked(model, levels_of(model, answers)[None, :]))
    leads = {}
    for decision, row in zip(model.decisions, scores, strict=True):
        option = base[decision.id]
        if option is not None:
            o = decision.index(option)
            rivals = [s for i, s in enumerate(row[0]) if i != o]
            leads[decision.id] = float(row[0][o] - max(rivals))
    return leads


def _moved(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> tuple[Moved, ...]:
    ids = [*before, *(id for id in after if id not in before)]
    pairs = ((id, before.get(id), after.get(id)) for id in ids)
    return tuple(Moved(id, old, new) for id, old, new in pairs if old != new)
