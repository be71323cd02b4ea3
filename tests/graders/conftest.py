"""The platform for tests that need it: a pool, and a database server, in a state of their own."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.pool import Pool
from sandbox.postgres import DatabaseServer
from sandbox.setup import prepare


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    """The folder of OFFSETZERO_STATE; not pytest's own, which only root enters."""
    folder = Path(tempfile.mkdtemp(prefix="oz-test-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OFFSETZERO_STATE", str(folder))
        yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def prepared(state: Path) -> None:
    await prepare(print)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(prepared: None) -> AsyncIterator[DatabaseServer]:
    server = await DatabaseServer.start()
    yield server
    await server.kill()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool(prepared: None) -> AsyncIterator[Pool]:
    pool = Pool()
    await pool.start()
    yield pool
    await pool.close()
