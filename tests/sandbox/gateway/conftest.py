"""The codec of the real broker's version, and a stage: broker, gateway, boxes, facts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.broker import Broker
from sandbox.gateway.codec import Codec
from sandbox.gateway.gateway import kafka_codec
from sandbox.setup import prepare
from tests.sandbox.gateway.stage import Stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def prepared() -> None:
    await prepare(print)


@pytest.fixture(scope="session")
def codec(prepared: None) -> Codec:
    return kafka_codec()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def broker(prepared: None, state: Path) -> AsyncIterator[Broker]:
    broker = await Broker.start()
    yield broker
    await broker.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(broker: Broker) -> AsyncIterator[Stage]:
    stage = Stage(broker)
    await stage.create_topics()
    yield stage
    await stage.close()
    assert stage.gateway.failure is None
