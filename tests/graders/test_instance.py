"""How long a program may take to connect."""

import pytest

from graders.instance import may_take


@pytest.mark.parametrize(
    ("waited", "wanted", "patience", "may"),
    [
        (10.0, 0.0, 1.0, True),
        (10.1, 1.0, 1.0, False),  # it sleeps, or waits for something
        (10.1, 2.5, 1.0, True),  # it computes, and others had the CPU
        (20.0, 20.0, 1.0, True),
        (20.1, 20.1, 1.0, False),  # it computes for ever
        (20.0, 0.0, 2.0, True),
        (20.1, 20.1, 2.0, False),
    ],
)
def test_whoever_is_short_of_cpu_may_take_longer(
    waited: float, wanted: float, patience: float, may: bool
):
    assert may_take(waited, wanted, patience) is may
