"""The platform: the same pool and cluster that the tests of grading use."""

from tests.drivers import driver, engine
from tests.graders.conftest import cluster, pool, state

__all__ = ["cluster", "driver", "engine", "pool", "state"]
