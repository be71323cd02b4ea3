"""What a candidate's project may look like. Pure rules: nothing here touches a disk."""

from dataclasses import dataclass
from typing import Any

from graders.spec import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES

MAX_PATH_BYTES = 200


@dataclass(frozen=True)
class Problem:
    """path is "" when the project as a whole is meant."""

    path: str
    message: str


def problems(files: Any) -> list[Problem]:
    """Everything that keeps `files` from being a project {path: text}; empty when it is one."""
    if not isinstance(files, dict):
        return [Problem("", "Send the files as an object: path to text.")]
    found = [
        Problem(path, message)
        for path, text in files.items()
        if (message := path_problem(path) or text_problem(text))
    ]
    return found + clashes(set(files)) + size_problems(files)


def path_problem(path: str) -> str | None:
    """What is wrong with a path, None when nothing is."""
    parts = path.split("/")
    if not path or not all(parts):
        return "A path needs a name in each part, without a slash at either end."
    if any(part in (".", "..") for part in parts):
        return "A path must not contain '.' or '..' as a part."
    if "\\" in path or not path.isprintable():
        return "A path must not contain backslashes, line breaks or control characters."
    if any(part != part.strip() for part in parts):
        return "A name must not begin or end with a space."
    if len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES:
        return f"A path may have at most {MAX_PATH_BYTES} bytes."
    return None


def text_problem(text: Any) -> str | None:
    """What is wrong with a file's text, None when nothing is."""
    if not isinstance(text, str):
        return "A file must be text."
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        return "A file must be valid text without NUL characters."
    if size(text) > MAX_FILE_BYTES:
        return f"A file may have at most {MAX_FILE_BYTES:,} bytes; this one has {size(text):,}."
    return None


def clashes(paths: set[str]) -> list[Problem]:
    """Paths that are a file and, by another path, a folder at once."""
    folders = {
        path[:position] for path in paths for position, sign in enumerate(path) if sign == "/"
    }
    return [
        Problem(path, "This is a file and a folder at once. Rename one of them.")
        for path in sorted(paths & folders)
    ]


def size_problems(files: dict[str, Any]) -> list[Problem]:
    """Whether the project as a whole is too large."""
    found = []
    if len(files) > MAX_FILES:
        found.append(
            Problem("", f"A project may have at most {MAX_FILES} files; this has {len(files)}.")
        )
    total = sum(size(text) for text in files.values() if isinstance(text, str))
    if total > MAX_TOTAL_BYTES:
        message = f"A project may have at most {MAX_TOTAL_BYTES:,} bytes; this has {total:,}."
        found.append(Problem("", message))
    return found


def size(text: str) -> int:
    """The bytes a text takes as UTF-8."""
    return len(text.encode("utf-8", "replace"))
