"""The rules for a project's files."""

import pytest

from graders.spec import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES
from webapp.workspace.files import problems


def test_an_ordinary_project_has_no_problem():
    assert problems({"main.py": "", "lib/a b.py": "x = 'ä'\n", ".env": "", "lib/c.py": ""}) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "name in each part"),
        ("/etc/passwd", "name in each part"),
        ("lib/", "name in each part"),
        ("a//b", "name in each part"),
        ("../up.py", "'..'"),
        ("lib/../../up.py", "'..'"),
        ("./a.py", "'.'"),
        ("a\\b.py", "backslash"),
        ("a\nb.py", "control"),
        ("a\0.py", "control"),
        ("a\u202eb.py", "control"),
        (" a.py", "space"),
        ("ä" * 101, "bytes"),
    ],
)
def test_a_bad_path(path, words):
    (problem,) = problems({path: ""})
    assert problem.path == path
    assert words in problem.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "must be text"),
        (["x"], "must be text"),
        ("a\0b", "NUL"),
        ("\ud800", "valid text"),
        ("ä" * MAX_FILE_BYTES, "at most"),
    ],
)
def test_a_bad_text(text, words):
    (problem,) = problems({"main.py": text})
    assert problem.path == "main.py"
    assert words in problem.message


def test_a_file_that_is_also_a_folder():
    (problem,) = problems({"lib": "", "lib/a.py": "", "main.py": ""})
    assert problem.path == "lib"


def test_too_many_files():
    (problem,) = problems({f"{number}.py": "" for number in range(MAX_FILES + 1)})
    assert str(MAX_FILES + 1) in problem.message


def test_too_much_in_all():
    size = MAX_FILE_BYTES - 1
    (problem,) = problems({f"{n}.py": "x" * size for n in range(MAX_TOTAL_BYTES // size + 1)})
    assert (problem.path, "bytes" in problem.message) == ("", True)


@pytest.mark.parametrize("files", [None, [], "main.py", 3])
def test_what_is_no_project(files):
    assert problems(files)
