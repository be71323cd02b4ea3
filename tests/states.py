"""Folders that the platform's unprivileged users can enter; pytest's own only root enters."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def new_folder(parent: Path | None = None, *, ignore_errors: bool = False) -> Iterator[Path]:
    """A fresh folder, removed at the end of the block. What cannot be removed is an error: somebody
    still writes there. A platform that was killed leaves such for a moment (`ignore_errors`)."""
    folder = Path(tempfile.mkdtemp(prefix="oz-test-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=ignore_errors)


@contextmanager
def new_state(parent: Path | None = None) -> Iterator[Path]:
    """A fresh state of the platform, which is OFFSETZERO_STATE in the block: nothing there meets a
    platform that runs on the same machine."""
    with new_folder(parent) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OFFSETZERO_STATE", str(folder))
        yield folder
