"""Figures worked out by hand or by brute force, which the arithmetic must reproduce."""

import numpy as np
import pytest

from decision_guide.conditions import UNKNOWN
from decision_guide.estimates import partitions
from decision_guide.robustness import central_weights, free_weights, rank_acceptability
from decision_guide.scoring import contributions, interval, scores, smallest_gap, stability
from decision_guide.team import kendall_w

VALUES = np.array([[0.9, 0.2, 0.5, 0.7], [0.5, 0.8, 0.4, 0.3], [0.3, 0.5, 0.9, 0.9]])
WEIGHTS = np.array([0.4, 0.3, 0.2, 0.1])


def test_scores_and_the_parts_of_the_gap(decision_of):
    decision, levels = decision_of(VALUES, WEIGHTS), np.zeros(1, int)
    assert scores(decision, levels[None, :], WEIGHTS)[0] == pytest.approx([0.59, 0.55, 0.54])
    parts = [part.amount for part in contributions(decision, levels, 0, 1)]
    assert parts == pytest.approx([0.16, -0.18, 0.02, 0.04])
    assert sum(parts) == pytest.approx(0.04, abs=1e-12)


def test_weight_ranges_that_keep_the_winner():
    ranges = stability(WEIGHTS, VALUES.T, 0)
    expected = [(0.3455, 1), (0, 0.3438), (0, 0.2889), (0, 0.28)]
    assert np.array(ranges) == pytest.approx(np.array(expected), abs=5e-5)


@pytest.mark.parametrize("seed", range(20))
def test_weight_ranges_agree_with_brute_force(seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.random((4, 3)), rng.dirichlet(np.ones(4))
    winner = int((weights @ values).argmax())
    for j, (low, high) in enumerate(stability(weights, values, winner)):
        for t in np.linspace(0, 1, 201):
            scaled = weights * (1 - t) / (1 - weights[j])
            scaled[j] = t
            totals = scaled @ values
            if min(abs(t - low), abs(t - high)) > 1e-6:
                assert (totals.argmax() == winner) == (low < t < high)


def test_acceptability_and_central_weights_under_free_weights():
    weights = free_weights(np.ones(4, bool), np.random.default_rng(7), 400_000)
    ranks = rank_acceptability(weights @ VALUES.T)
    assert ranks[:, 0] == pytest.approx([0.273, 0.138, 0.589], abs=0.003)
    first = (weights @ VALUES.T).argmax(axis=1)
    expected = [
        (0.505, 0.141, 0.157, 0.198),
        (0.207, 0.583, 0.113, 0.098),
        (0.142, 0.223, 0.326, 0.309),
    ]
    for option, central in enumerate(expected):
        assert central_weights(weights, first == option) == pytest.approx(central, abs=0.003)


def test_an_unknown_value_makes_an_interval(decision_of):
    unsure = decision_of(VALUES, WEIGHTS, unknown=(0.3, 0.9))
    low, high = interval(unsure, np.array([UNKNOWN]))
    assert (low[0], high[0]) == pytest.approx((0.35, 0.59))
    assert low[1] == high[1] == pytest.approx(0.55)
    assert smallest_gap(unsure, np.array([UNKNOWN]), 0, 1) < 0


def test_agreement_of_rankings():
    assert kendall_w([(1, 2, 3, 4), (1, 3, 2, 4), (2, 1, 3, 4)]) == pytest.approx(0.7778, abs=5e-5)
    assert kendall_w([(1, 2, 3), (1, 2, 3)]) == 1


def test_partitions():
    assert partitions(20, 5, 3) == 7
    assert partitions(0.001, 10, 5) == 1
