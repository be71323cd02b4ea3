"""The platform for tests that need it: a pool, and a database server, in a state of their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.pool import Pool
from sandbox.postgres import DatabaseServer
from sandbox.setup import prepare
from tests.states import new_state


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    """The folder of OFFSETZERO_STATE."""
    with new_state() as folder:
        yield folder


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
