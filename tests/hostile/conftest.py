"""The platform: the same pool that the tests of grading use."""

from tests.drivers import driver, engine
from tests.graders.conftest import pool, prepared, state

__all__ = ["driver", "engine", "pool", "prepared", "state"]
