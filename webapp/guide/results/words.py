"""What the ids of a model mean, in the words that its pages show."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from decision_guide import NOT_SURE, Given, Model, Result
from decision_guide.model import Decision, Question, Source
from decision_guide.result import DecisionResult
from decision_guide.team import Spread

PATTERNS = {
    "events": "Events",
    "kafka": "Kafka",
    "event_sourcing": "Event sourcing",
    "cqrs": "CQRS",
    "saga": "Saga",
}
MEASURES = {
    "message_kib": "Mean message, KiB",
    "producer_mib_s": "One partition takes, MiB/s",
    "consumer_mib_s": "One partition gives, MiB/s",
}
WHY_NOT = {
    "out-of-scope": "it is out of scope",
    "business-priorities": "business priorities say so",
    "architecture-constraints": "the architecture forbids it",
    "other": "of another reason",
}

EFFORT = {
    "must": "It is worth finding out before you decide.",
    "should": "It is worth an hour of asking around.",
    "nice": "Answer it if you happen to know.",
}
"""What a question's priority means to somebody who does not know the answer."""


@dataclass(frozen=True)
class Words:
    """Looks up names; a question or criterion that the model does not have is a
    KeyError."""

    model: Model

    @cached_property
    def questions(self) -> dict[str, Question]:
        return {q.id: q for q in self.model.questions}

    @cached_property
    def decisions(self) -> dict[str, Decision]:
        return {d.id: d for d in self.model.decisions}

    def question(self, id: str) -> str:
        return self.questions[id].text

    def answer(self, question: str, id: str | None) -> str:
        """An answer in words; None is an open question."""
        labels = {a.id: a.label for a in self.questions[question].answers}
        return "open" if id is None else labels[id]

    def decision(self, id: str) -> str:
        """A decision in words; one of another version of the model keeps its id."""
        return self.decisions[id].title if id in self.decisions else id

    def option(self, decision: str, id: str | None) -> str:
        """An option in words; None is no option at all, and one of another version of the model
        keeps its id."""
        known = self.decisions[decision].options if decision in self.decisions else ()
        labels = {o.id: o.label for o in known}
        return "no option" if id is None else labels.get(id, id)

    def target(self, name: str) -> str:
        """What a knock-out rules out, by its name in the model (DECISION.OPTION)."""
        return self.option(*name.split(".", 1))

    def criterion(self, decision: str, id: str) -> str:
        return {c.id: c.title for c in self.decisions[decision].criteria}[id]

    def said(self, question: Question, given: Given | None) -> str:
        """An answer as it was given."""
        if given is None:
            return "open"
        if given.reason is not None:
            return f"does not apply, because {WHY_NOT[given.reason]}"
        if given.level is None:
            return NOT_SURE
        if given.number is not None:
            return f"{given.number:,.12g} {question.unit}"
        return question.answers[given.level].label

    @staticmethod
    def who(spread: Spread, answer: str | None) -> list[str]:
        """Those who gave an answer; None stands for no answer at all."""
        return [name for name, said in spread.answers.items() if said == answer]

    def cite(self, ids: Iterable[str]) -> str:
        """Who said it, and when."""
        sources = [self.model.sources[id] for id in ids]
        return "; ".join(f"{s.organisation} {s.year or ''}".strip() for s in sources)

    @staticmethod
    def sentence(text: str) -> str:
        """The text with a capital in front."""
        return text[:1].upper() + text[1:]


def least_sure(result: Result) -> str:
    """The decision whose recommendation comes first in the fewest weightings."""

    def share(found: DecisionResult) -> float:
        return found.option(found.recommended).first if found.recommended else 0.0

    return min(result.decisions, key=share).id


def cited(result: Result) -> list[tuple[str, Source, str]]:
    """The sources behind this result by id, each with the letters of the numbers taken from it."""
    letters: dict[str, set[str]] = {}
    reasons = [
        reason
        for decision in result.decisions
        for versus in (decision.runner_up, decision.simplest)
        if versus
        for reason in versus.reasons
    ]
    firing = [k for k in result.knockouts if k.state != "clear"]
    applying = [c for c in result.claims if c.applies]
    compared = [r for d in result.comparison for r in d.reasons]
    for item in (*reasons, *firing, *applying, *compared, *result.risks, *result.estimates):
        for id in item.source:
            letters.setdefault(id, set()).add(item.confidence)
    sources = result.model.sources
    return [(id, sources[id], "".join(sorted(letters[id]))) for id in sources if id in letters]
