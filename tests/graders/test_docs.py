"""The documentation of the checks is made from them."""

from pathlib import Path

import pytest

from graders.checks.__main__ import document, families

DOCS = Path(__file__).parents[2] / "docs" / "checks.md"


def test_the_document_says_what_the_checks_say() -> None:
    assert DOCS.read_text("utf-8") == document(), "run `make docs`"


@pytest.mark.parametrize("module", families(), ids=lambda module: module.__name__)
def test_a_family_gives_its_model_and_a_worked_history(module) -> None:
    assert "**Model.**" in module.__doc__
    assert "**One worked history**" in module.__doc__
