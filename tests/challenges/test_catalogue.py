import shutil
from pathlib import Path

import pytest

from challenges import catalogue
from challenges.catalogue import CatalogueError
from challenges.idempotent_consumer import scenarios
from sandbox.runtimes import language_of

FOLDER = catalogue.FOLDER / "idempotent_consumer"
TEXTS = ("challenge.toml", "schema.sql", "statement.md", "rubric.md")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a good challenge, to be spoiled."""
    copy = tmp_path / "idempotent_consumer"
    shutil.copytree(FOLDER / "starter", copy / "starter")
    for name in TEXTS:
        shutil.copy(FOLDER / name, copy / name)
    return copy


def spoil(folder: Path, old: str, new: str) -> str:
    """Change the copy's challenge.toml and return what loading it complains about."""
    file = folder / "challenge.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(CatalogueError) as error:
        catalogue.load_folder(folder, scenarios)
    return str(error.value)


@pytest.mark.parametrize("name", catalogue.names())
def test_every_challenge_loads_and_is_whole(name: str) -> None:
    challenge = catalogue.load(name)
    assert challenge.name == name
    assert 2 <= sum(s.visible for s in challenge.scenarios) < len(challenge.scenarios)
    assert all(language_of(files) == language for language, files in challenge.starter.items())
    assert set(challenge.questions) == {use.id for use in challenge.checks}
    assert all(challenge.questions.values())


def test_an_unknown_challenge_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match="idempotent_consumer"):
        catalogue.load("no_such")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("minutes = 60", "minutes = 60\ncolour = 1", "'colour'"),
        ("minutes = 60", "", "'minutes' is missing"),
        ("minutes = 60", 'minutes = "60"', "'minutes' is of the wrong kind"),
        ("minutes = 60", "minutes = true", "'minutes' is of the wrong kind"),
        ("minutes = 60", "minutes = ", "line"),
        ('level = "middle"', 'level = "hard"', "level: 'hard'"),
        ('languages = ["python", ', 'languages = ["cobol", ', "languages: 'cobol'"),
        ("partitions = 3", "partition = 3", "topics: unknown key 'partition'"),
        ('id = "event_id"', "", "effects: 'id' is missing"),
        ("visible = true", 'visible = "yes"', "scenarios: 'visible' is of the wrong kind"),
        ('needs = ["redelivery"]', 'needs = ["luck"]', "needs: 'luck'"),
        ('name = "steady_run"', 'name = "steady_walk"', "'steady_walk'"),
        ("EFF-1 =", "EFF-99 =", "checks: 'EFF-99'"),
        ("COM-3 =", "GRD-2 =", "checks: 'COM-3' is missing; COM-1 leaves"),
        ("{ weight = 4,", "{ wait = 4,", "checks.EFF-1: unknown key 'wait'"),
        ('skill = "Distributed patterns"', 'skill = "Luck"', "checks.EFF-1.skill: 'Luck'"),
        ("[[topics]]", "[limits]\nmemory_mb = 1.5\n[[topics]]", "limits: 'memory_mb'"),
    ],
)
def test_a_slip_in_the_description_is_named(
    folder: Path, old: str, new: str, complaint: str
) -> None:
    message = spoil(folder, old, new)
    assert complaint in message
    assert message.startswith((str(folder / "challenge.toml"), scenarios.__name__))


@pytest.mark.parametrize("missing", [*TEXTS, "starter/python"])
def test_a_missing_part_is_named(folder: Path, missing: str) -> None:
    path = folder / missing
    path.rename(folder / "elsewhere")
    with pytest.raises(CatalogueError) as error:
        catalogue.load_folder(folder, scenarios)
    assert str(path) in str(error.value)


def test_questions_are_the_lists_below_the_headings_of_checks() -> None:
    rubric = "## Questions\n### EFF-1 lost\n\n- One?\n- Two\n  lines?\n\n### Other\n\n- No.\n"
    assert catalogue.questions(rubric) == {"EFF-1": ["One?", "Two lines?"]}
