"""Published architecture decisions, to measure the guide by.

Each case has the facts as answers, which of them are guessed, and for some decisions the options
an informed reader would accept or reject. A twin is a case with one fact changed that must move a
decision. The guide is compared with two rules that need no guide: "never events", and "events from
three consumers".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from decision_guide import documents
from decision_guide.answers import Answers, Given, parse_answers
from decision_guide.evaluation import choose_only
from decision_guide.model import Model

_FOLDER = documents.PACKAGE / "cases"
NEVER = ("modular-monolith", "sync", "direct", "crud", "same", "local")
ALWAYS = ("services", "async", "log", "crud-outbox", "same", "choreography")


@dataclass(frozen=True)
class Case:
    """One published decision. `guessed` names the questions whose answers the source does not
    give; `accept` and `reject` are option ids by decision."""

    id: str
    title: str
    source: Mapping[str, Any]
    story: str
    answers: Answers
    guessed: tuple[str, ...]
    accept: Mapping[str, tuple[str, ...]]
    reject: Mapping[str, tuple[str, ...]]

    @property
    def known(self) -> Answers:
        """The answers without what was guessed: those questions are "not sure"."""
        given = dict(self.answers.given)
        return Answers({**given, **{id: Given() for id in self.guessed}})

    def misses(self, chosen: Mapping[str, str | None]) -> list[str]:
        """The decisions where the choice is not accepted, or is rejected."""
        wrong = [d for d, options in self.accept.items() if chosen[d] not in options]
        wrong += [d for d, options in self.reject.items() if chosen[d] in options]
        return sorted(set(wrong))


@dataclass(frozen=True)
class Twin:
    """A case's answers with one fact changed, which must move `decision` from an option in
    `before` to one in `after`."""

    id: str
    base: Answers
    changed: Answers
    question: str
    decision: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    why: str

    def flips(self, model: Model) -> bool:
        """Whether the guide moves as it must."""
        first = choose_only(model, self.base)[self.decision]
        second = choose_only(model, self.changed)[self.decision]
        return first in self.before and second in self.after


Rule = Callable[[Case], Mapping[str, str | None]]
"""A way to choose an option for each decision of a case."""


@dataclass(frozen=True)
class HitRate:
    """How many cases a rule gets right in everything asked of it, and how many single choices."""

    cases: int
    cases_right: int
    choices: int
    choices_right: int


def load_cases(model: Model) -> list[Case]:
    """The published cases that ship with the package."""
    return [_case(model, row) for row in documents.read(_FOLDER / "published.json")]


def load_twins(model: Model) -> list[Twin]:
    """The twins that ship with the package."""
    return [_twin(model, row) for row in documents.read(_FOLDER / "twins.json")]


def answer_files() -> list[dict[str, Any]]:
    """The answer documents of all cases, for checking that files stay readable."""
    return [{"answers": row["answers"]} for row in documents.read(_FOLDER / "published.json")]


def measure(cases: list[Case], rule: Rule) -> HitRate:
    """How often the rule's choices are accepted and not rejected."""
    asked = right = whole = 0
    for case in cases:
        misses = len(case.misses(rule(case)))
        decisions = len(case.accept.keys() | case.reject.keys())
        asked += decisions
        right += decisions - misses
        whole += misses == 0
    return HitRate(len(cases), whole, asked, right)


def never_events(model: Model) -> Rule:
    """The rule "never": the plainest option of every decision."""
    return lambda case: _fixed(model, NEVER)


def events_from_three(model: Model) -> Rule:
    """The rule "events from three consumers": all of it, or none of it."""
    consumers = model.questions[model.question("consumers")]

    def rule(case: Case) -> Mapping[str, str | None]:
        given = case.answers.given.get(consumers.id)
        many = given is not None and given.level is not None and given.level >= consumers.at(3)
        return _fixed(model, ALWAYS if many else NEVER)

    return rule


def _fixed(model: Model, options: tuple[str, ...]) -> Mapping[str, str | None]:
    return {d.id: option for d, option in zip(model.decisions, options, strict=True)}


def _case(model: Model, row: Mapping[str, Any]) -> Case:
    return Case(
        id=row["id"],
        title=row["title"],
        source=row["source"],
        story=row["story"],
        answers=parse_answers(model, {"title": row["title"], "answers": row["answers"]}),
        guessed=tuple(row["guessed"]),
        accept={d: tuple(options) for d, options in row["accept"].items()},
        reject={d: tuple(options) for d, options in row.get("reject", {}).items()},
    )


def _twin(model: Model, row: Mapping[str, Any]) -> Twin:
    changed = {**row["answers"], row["question"]: row["to"]}
    return Twin(
        id=row["id"],
        base=parse_answers(model, {"answers": row["answers"]}),
        changed=parse_answers(model, {"answers": changed}),
        question=row["question"],
        decision=row["decision"],
        before=tuple(row["before"]),
        after=tuple(row["after"]),
        why=row["why"],
    )
