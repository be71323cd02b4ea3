"""A state of the tests' own: nothing here meets a platform that runs on the same machine."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.postgres import Cluster
from tests.states import new_folder, new_state


@pytest.fixture(scope="session", autouse=True)
def state() -> Iterator[Path]:
    """The folder of OFFSETZERO_STATE for this session."""
    with new_state() as folder:
        yield folder
        if Cluster.platform().folder.exists():
            asyncio.run(Cluster.platform().stop())


@pytest.fixture
def open_folder(state: Path) -> Iterator[Path]:
    """A fresh folder that the service user can enter."""
    with new_folder(state) as folder:
        yield folder


@pytest.fixture
def own_state(state: Path) -> Iterator[Path]:
    """A state that nothing else of this session leaves anything in, for tests of what is left."""
    with new_state(state) as folder:
        yield folder
