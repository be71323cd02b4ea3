"""The command line: names, exit codes, and complaints that say what to do."""

import json
import re
import sys

import pytest

from challenges.catalogue import names
from sandbox.box import DRIVERS
from webapp.cli import main, shared


@pytest.fixture
def offsetzero(monkeypatch, capsys):
    """A function that runs a command; returns exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("OFFSETZERO_DRIVER", "")  # a command may set it
        monkeypatch.setattr(sys, "argv", ["offsetzero", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "nonsense"),
        (["grade"], "CHALLENGE"),
        (["grade", "nonsense", "."], "There are: cqrs_projection, dead_letter_queue"),
        (["grade", "idempotent_consumer", "/nowhere"], "/nowhere"),
        (["grade", "idempotent_consumer", ".", "--scenario", "x"], "There are: steady_run"),
        (["grade", "idempotent_consumer", ".", "--language", "cobol"], "is for: python"),
        (["grade", "idempotent_consumer", ".", "--seed", "x"], "--seed"),
        (["grade", "idempotent_consumer", ".", "--driver", "vm"], "process"),
        (["recheck", "."], "not the history of a graded run"),
        (["verify", "nonsense"], "There are: cqrs_projection, dead_letter_queue"),
        (["guide", "score", "/nowhere.json"], "/nowhere.json"),
        (["interviewer", "add", "nobody"], "not an e-mail address"),
        (["serve", "--port", "99999"], "--port"),
    ],
)
def test_wrong_use_exits_with_64_and_says_what_is_right(offsetzero, arguments, words):
    code, out, err = offsetzero(*arguments)
    assert (code, out) == (64, "")
    assert words in err


def test_drivers_are_those_of_the_boxes():
    assert shared.DRIVERS == DRIVERS


def test_a_fault_of_ours_is_no_failed_check(offsetzero, monkeypatch):
    async def grade_here(*_, **__):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("webapp.terminal.grade_here", grade_here)
    assert offsetzero("grade", "idempotent_consumer", __file__)[0] == 2


@pytest.mark.parametrize(
    "command",
    [
        *("serve", "web", "worker", "challenges", "grade", "recheck", "verify", "setup", "doctor"),
        *("guide score", "guide lint", "guide adr", "interviewer add", "interviewer disable"),
    ],
)
def test_every_command_explains_itself(offsetzero, command):
    code, out, _ = offsetzero(*command.split(), "--help")
    assert code == 0
    assert re.match(rf"Usage: .*\b{command}\b", out)


def test_a_program_that_is_no_text_is_named(offsetzero, tmp_path):
    (tmp_path / "main.py").write_bytes(b"\xff\xfe")
    code, _, err = offsetzero("grade", "idempotent_consumer", str(tmp_path))
    assert code == 64
    assert str(tmp_path) in err


def test_the_challenges_as_json(offsetzero):
    code, out, _ = offsetzero("challenges", "--json")
    found = json.loads(out)
    assert (code, [each["name"] for each in found]) == (0, names())
    assert {"title", "level", "minutes", "skills", "languages", "scenarios"} <= set(found[0])


def test_web_without_a_database_says_what_to_set(offsetzero, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    code, _, err = offsetzero("web")
    assert (code, "DATABASE_URL" in err) == (2, True)


def test_an_interviewer_is_added_and_disabled(offsetzero, database, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database)
    code, out, _ = offsetzero("interviewer", "add", "ines@example.org")
    assert (code, len(out.splitlines())) == (0, 2)
    assert offsetzero("interviewer", "disable", "ines@example.org")[0] == 0
    code, _, err = offsetzero("interviewer", "disable", "nobody@example.org")
    assert (code, "no interviewer nobody@example.org" in err) == (1, True)
