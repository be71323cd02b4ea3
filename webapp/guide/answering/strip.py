"""How the six decisions lean as answers come in: the strip beside the questions."""

from dataclasses import asdict, dataclass
from typing import Any

from decision_guide import Answers, Model, is_asked, outline
from decision_guide.result import Leaning


@dataclass(frozen=True)
class Strip:
    """`left` open questions could still change the result, and so could `unsure` ones that were
    answered "not sure". `asked` names all questions that are asked; `dropped` those that were
    answered and are not asked any more."""

    answered: int
    left: int
    unsure: int
    decisions: tuple[Leaning, ...]
    asked: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def summary(self) -> str:
        """What is left to say, in a sentence or two."""
        if not self.answered:
            return "No answer yet. Each one narrows the six decisions."
        if self.left:
            what = "1 open question" if self.left == 1 else f"{self.left} open questions"
            also = f" So could {self.unsure} marked not sure." if self.unsure else ""
            return f"{what} could still change the result.{also}"
        if self.unsure:
            return f"Only the {self.unsure} marked not sure could still change the result."
        return "No open question can change the result any more."

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "summary": self.summary}


def strip(model: Model, answers: Answers) -> Strip:
    """The strip for these answers."""
    found = outline(model, answers)
    pairs = zip(model.questions, is_asked(model, answers), strict=True)
    asked = tuple(q.id for q, is_asked_ in pairs if is_asked_)
    matter = [n.question for n in found.next_questions if n.matters and n.question in asked]
    unsure = sum(question in answers.given for question in matter)
    return Strip(
        answered=len(answers.given),
        left=len(matter) - unsure,
        unsure=unsure,
        decisions=found.decisions,
        asked=asked,
        dropped=tuple(id for id in answers.given if id not in asked),
    )
