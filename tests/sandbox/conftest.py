"""A state of the tests' own: nothing here meets a platform that runs on the same machine."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.postgres import Cluster


@pytest.fixture(scope="session", autouse=True)
def state() -> Iterator[Path]:
    """The folder of OFFSETZERO_STATE for this session; not pytest's own, which only root enters."""
    folder = Path(tempfile.mkdtemp(prefix="oz-test-"))
    folder.chmod(0o755)
    before = os.environ.get("OFFSETZERO_STATE")
    os.environ["OFFSETZERO_STATE"] = str(folder)
    yield folder
    if Cluster.platform().folder.exists():
        asyncio.run(Cluster.platform().stop())
    shutil.rmtree(folder)
    if before is None:
        del os.environ["OFFSETZERO_STATE"]
    else:
        os.environ["OFFSETZERO_STATE"] = before


@pytest.fixture
def open_folder(state: Path) -> Iterator[Path]:
    """A fresh folder that the service user can enter."""
    folder = Path(tempfile.mkdtemp(dir=state))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_state(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A state that nothing else of this session leaves anything in, for tests of what is left."""
    folder = Path(tempfile.mkdtemp(dir=state))
    folder.chmod(0o755)
    monkeypatch.setenv("OFFSETZERO_STATE", str(folder))
    yield
    shutil.rmtree(folder, ignore_errors=True)
