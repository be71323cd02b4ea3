"""The third-party notices name everything that the lock files bring in."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTICES = (ROOT / "THIRD_PARTY_NOTICES.md").read_text()


def locked_python(file: str) -> set[str]:
    """Names of the packages that a pip lock file pins."""
    lines = (ROOT / file).read_text().splitlines()
    return {match[1] for line in lines if (match := re.match(r"([a-z0-9][\w.-]*)==", line))}


def locked_npm() -> set[str]:
    """Names of the packages for every platform that the npm lock file pins."""
    lock = json.loads((ROOT / "webapp/frontend/package-lock.json").read_text())
    return {
        path.removeprefix("node_modules/")
        for path, package in lock["packages"].items()
        if path and not package.get("optional")
    }


@pytest.mark.parametrize(
    "names",
    [
        locked_python("requirements/run.lock"),
        locked_python("sandbox/runtimes/python.lock"),
        locked_npm(),
    ],
    ids=["platform", "candidates", "editor"],
)
def test_notices_name_every_locked_package(names: set[str]) -> None:
    assert {name for name in names if f"| {name} |" not in NOTICES} == set()
