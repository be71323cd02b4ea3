"""The platform: the same pool and cluster that the tests of grading use."""

from tests.graders.conftest import cluster, pool, state

__all__ = ["cluster", "pool", "state"]
