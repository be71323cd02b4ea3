"""One served platform for the tests that kill parts of it."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.browser.served import Platform, children_by_parent, cmdline, descendants, served
from tests.resilience.candidate import Candidate
from tests.states import new_folder


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    with new_folder(ignore_errors=True) as folder:
        yield folder


@pytest.fixture(scope="session")
def platform(state: Path) -> Iterator[Platform]:
    with served(state) as platform:
        yield platform


@pytest.fixture(scope="session")
def candidate(platform: Platform) -> Candidate:
    """The demo candidate, with a program that passes."""
    found = re.search(r"Candidate\s+(\S+)", "".join(platform.said))
    candidate = Candidate(platform.address, found[1].removeprefix(platform.address))
    candidate.save_solution("accepted/transaction_per_event")
    return candidate


@pytest.fixture(scope="session")
def query(state: Path) -> Callable[..., list[tuple]]:
    """A function that asks the platform's database."""
    address = f"host={state}/postgres/platform/run user=postgres dbname=offsetzero"

    def ask(text: str, *values: object) -> list[tuple]:
        with psycopg.connect(address) as connection:
            return connection.execute(text, values).fetchall()

    return ask


@pytest.fixture(scope="session")
def kill(platform: Platform) -> Callable[[bytes], None]:
    """A function that kills every process of the platform whose command line holds a text."""

    def kill_matching(text: bytes) -> None:
        ours = descendants(platform.process.pid, children_by_parent())
        found = [pid for pid in ours if text in cmdline(pid)]
        assert found, f"no process with {text!r} below {platform.process.pid}"
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    return kill_matching
