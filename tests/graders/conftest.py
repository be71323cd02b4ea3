"""The platform for tests that need it: a broker pool and a cluster in a state of their own."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.pool import BrokerPool
from sandbox.postgres import Cluster
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
async def cluster(state: Path) -> AsyncIterator[Cluster]:
    await prepare(print)
    cluster = Cluster.programs()
    await cluster.start()
    yield cluster
    await cluster.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool(cluster: Cluster) -> AsyncIterator[BrokerPool]:
    pool = BrokerPool(1)
    await pool.start()
    yield pool
    await pool.close()
