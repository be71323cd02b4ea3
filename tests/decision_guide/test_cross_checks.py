"""The same arithmetic by other people's libraries."""

import ahpy
import numpy as np
import pytest
from pymcdm.methods import SPOTIS, WSM

from decision_guide.overlay import rank_order_weights
from decision_guide.scoring import scores
from decision_guide.team import mean_weights

PROBLEMS = [np.random.default_rng(seed) for seed in range(25)]


@pytest.mark.parametrize("rng", PROBLEMS)
def test_scores_are_a_weighted_sum_and_distances_to_the_ideal(decision_of, rng):
    values, weights = rng.random((5, 7)), rng.dirichlet(np.ones(7))
    ours = scores(decision_of(values, weights), np.zeros((1, 1), int), weights)[0]
    profit = np.ones(7)
    theirs = WSM(normalization_function=lambda x, cost: x)(values, weights, profit)
    assert ours == pytest.approx(theirs)
    bounds = np.array([[0.0, 1.0]] * 7)
    assert ours == pytest.approx(1 - SPOTIS(bounds)(values, weights, profit))


def test_pairwise_judgements_of_three_criteria():
    matrix = [[1, 3, 5], [1 / 3, 1, 3], [1 / 5, 1 / 3, 1]]
    pairs = {("a", "b"): 3, ("a", "c"): 5, ("b", "c"): 3}
    theirs = ahpy.Compare("criteria", pairs, precision=6).target_weights
    ours = mean_weights(np.array(matrix).T.tolist(), geometric=True)
    assert ours == pytest.approx([theirs["a"], theirs["b"], theirs["c"]], abs=1e-6)
    assert ours == pytest.approx([0.636986, 0.258285, 0.104729], abs=1e-6)


def test_weights_from_ranks_alone():
    assert rank_order_weights(1) == [1]
    assert rank_order_weights(3) == pytest.approx([11 / 18, 5 / 18, 2 / 18])
    assert sum(rank_order_weights(9)) == pytest.approx(1)
