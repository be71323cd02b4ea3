"""What a challenge is made of, as the graders see it.

A challenge is data (`challenge.toml`, `schema.sql`, texts) and a few pure functions: which effect
an event must have, what the final state must be, what a sentinel looks like. Nothing here runs.
"""

import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graders.lab import Lab
    from sandbox.box import Limits

SKILLS = (
    "Kafka internals",
    "Event modelling",
    "Distributed patterns",
    "Production operations",
    "Judgment",
)

MAX_FILES = 60
MAX_FILE_BYTES = 256_000
MAX_TOTAL_BYTES = 1_000_000

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """One event to send. `id` is its identity for the checks; `value` is sent as JSON."""

    id: str
    key: str
    value: Row


@dataclass(frozen=True)
class TopicSpec:
    """A topic of the challenge; every scenario gets a fresh one under a name of its own.

    `name` is what scenarios say and what names the program's variable: "payments" gives
    PAYMENTS_TOPIC. `input` topics are sent to by the grader and read by the program.
    """

    name: str
    partitions: int = 3
    input: bool = True


@dataclass(frozen=True)
class EffectTable:
    """A table in which each row that the program inserts is one effect on the outside world.

    `id` is the column with the event's id; `content` the columns that carry the event's values.
    Other columns (serial numbers, times) are the program's own business.
    """

    table: str
    id: str
    content: tuple[str, ...]


@dataclass(frozen=True)
class StateTable:
    """A table whose final rows must equal the fold of all events.

    `absent` holds the values that a missing row stands for, so that a row of zeros equals no row.
    """

    table: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    absent: Row = field(default_factory=dict)


@dataclass(frozen=True)
class CheckUse:
    """That a challenge counts a check: its weight in the score and the skill it speaks for."""

    id: str
    weight: int
    skill: str


@dataclass(frozen=True)
class Scenario:
    """One story of what happens to the program.

    `run` drives it; its docstring says which mistake it exposes. `visible` scenarios are the ones
    that Run plays. `needs` names what must have happened for the scenario to say anything:
    "redelivery" (some record owed again to the program after its effect) is the one known need.
    """

    name: str
    title: str
    run: Callable[["Lab"], Awaitable[None]]
    visible: bool = False
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Challenge:
    """Everything about one challenge.

    `expected(value)` gives, for an event's value, the row that each effect table must get once:
    `{"ledger": {"account": "A-1", "amount": 120}}`; a table left out must get none.
    `fold(values)` gives the rows each state table must end with when every value counts once.
    `sentinel(rng)` makes an ordinary event; the graders send some at the end to see that everything
    before them was dealt with. `limits` None means the box's own defaults. `questions` are the
    rubric's follow-up questions by check id; `starter` the first files by language.
    """

    name: str
    title: str
    summary: str
    level: str
    minutes: int
    languages: tuple[str, ...]
    topics: tuple[TopicSpec, ...]
    schema_sql: str
    effects: tuple[EffectTable, ...]
    states: tuple[StateTable, ...]
    checks: tuple[CheckUse, ...]
    scenarios: tuple[Scenario, ...]
    expected: Callable[[Row], Mapping[str, Row]]
    fold: Callable[[Sequence[Row]], Mapping[str, Sequence[Row]]]
    sentinel: Callable[[random.Random], Event]
    limits: "Limits | None" = None
    statement: str = ""
    rubric: str = ""
    questions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    starter: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def scenario(self, name: str) -> Scenario:
        """The scenario of that name; KeyError with the known names when there is none."""
        for scenario in self.scenarios:
            if scenario.name == name:
                return scenario
        known = ", ".join(s.name for s in self.scenarios)
        raise KeyError(f"{self.name} has no scenario {name!r}; it has: {known}")


@dataclass(frozen=True)
class Submission:
    """A program to be judged: its files as text by relative path, and its language."""

    files: Mapping[str, str]
    language: str = "python"

    @classmethod
    def read(cls, path: Path, language: str = "python") -> "Submission":
        """Read a folder, or a single file as that folder's entry point. OSError when something
        cannot be read, UnicodeDecodeError naming the file when one is no UTF-8 text."""
        if path.is_file():
            return cls({"main.py": read_text(path)}, language)
        found = sorted(p for p in path.rglob("*") if p.is_file() and not is_hidden(p, path))
        return cls({str(p.relative_to(path)): read_text(p) for p in found}, language)

    @property
    def has_transactions(self) -> bool:
        """Whether the program may use Kafka transactions: every library's setting says so."""
        return any(re.search("transactional[._]?id", text, re.I) for text in self.files.values())

    def problems(self) -> list[str]:
        """What makes these files unfit to be written to disk, in words; empty when nothing does."""
        problems = [p for name in self.files for p in path_problems(name)]
        if len(self.files) > MAX_FILES:
            problems.append(f"{len(self.files)} files; at most {MAX_FILES} are accepted")
        sizes = {name: len(text.encode()) for name, text in self.files.items()}
        problems += [
            f"{name}: {size} bytes; at most {MAX_FILE_BYTES} are accepted"
            for name, size in sizes.items()
            if size > MAX_FILE_BYTES
        ]
        if sum(sizes.values()) > MAX_TOTAL_BYTES:
            problems.append(f"the files hold more than {MAX_TOTAL_BYTES} bytes together")
        return problems

    def write_to(self, folder: Path) -> None:
        """Write the files below `folder`, readable for the box's user."""
        for name, text in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")


def read_text(path: Path) -> str:
    """A file's text; UnicodeDecodeError with its name when it is no UTF-8."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        error.reason += f", in {path}"
        raise


def path_problems(name: str) -> list[str]:
    """Why a file name is not accepted; empty when it is."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        return [f"{name!r}: paths must be relative and stay inside the project"]
    if len(name) > 200:
        return [f"{name[:40]}...: the path is longer than 200 characters"]
    return []


def is_hidden(path: Path, root: Path) -> bool:
    """Whether a path below `root` lies in a hidden or cache folder, or is a hidden file."""
    parts = path.relative_to(root).parts
    return any(part.startswith(".") or part == "__pycache__" for part in parts)
