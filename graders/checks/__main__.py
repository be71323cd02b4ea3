"""Print docs/checks.md, made from the checks themselves: `python -m graders.checks`."""

import inspect
import sys
from types import ModuleType

from graders.checks import CHECKS, Check

HEAD = """# The checks

Made by `make docs` from the docstrings in `graders/checks/`; change it there.

Each check is a pure function over the history of one scenario. What it may wrongly accuse, and the
guard against that, is part of its definition.

| check | name | a pass says |
|---|---|---|
"""


def document() -> str:
    """The text of docs/checks.md."""
    rows = [f"| {c.id} | {c.name} | {c.claim} |" for c in CHECKS.values()]
    return HEAD + "\n".join(rows) + "\n" + "".join(map(chapter, families()))


def families() -> list[ModuleType]:
    """The families' modules, in the order of the registry."""
    found = (module_of(check) for check in CHECKS.values())
    return list(dict.fromkeys(found))


def module_of(check: Check) -> ModuleType:
    module = inspect.getmodule(check.find)
    assert module is not None
    return module


def chapter(module: ModuleType) -> str:
    """A family's specification: its docstring, of which the first line is the title."""
    title, _, text = inspect.cleandoc(module.__doc__ or "").partition("\n")
    return f"\n## {title.rstrip('.')}\n{text}\n"


if __name__ == "__main__":
    sys.stdout.write(document())
