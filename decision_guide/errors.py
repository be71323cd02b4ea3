"""What can be wrong with the files that people write."""

from dataclasses import dataclass


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it stands (a JSON path) and what to do about it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


MOST_PROBLEMS, LONGEST_PATH, LONGEST_MESSAGE = 50, 120, 1_000
"""What is told of a file that somebody filled with nonsense: enough to see that."""


class GuideError(ValueError):
    """A model, answers, overlay or permalink that cannot be used; carries every problem found, or
    the first of very many."""

    def __init__(self, problems: list[Problem]) -> None:
        told = [
            Problem(shortened(p.path, LONGEST_PATH), shortened(p.message, LONGEST_MESSAGE))
            for p in problems[:MOST_PROBLEMS]
        ]
        if more := len(problems) - len(told):
            told.append(Problem("$", f"and {more:,} more problems"))
        super().__init__("\n".join(map(str, told)))
        self.problems = told

    @classmethod
    def at(cls, path: str, message: str) -> "GuideError":
        return cls([Problem(path, message)])
