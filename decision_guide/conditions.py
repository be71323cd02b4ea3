"""Conditions over answers, in three truth values.

A condition is a tuple of alternatives; an alternative names questions and, for each, the answers
that satisfy it. It holds when any alternative holds, and an alternative holds when all its
questions do. There is no expression language, so nothing is ever evaluated.
"""

from collections.abc import Mapping

import numpy as np

UNKNOWN = -2
NOT_APPLICABLE = -1

Condition = tuple[Mapping[int, frozenset[int]], ...]
"""Question index -> satisfying answer indexes, by alternative."""


def holds(condition: Condition, levels: np.ndarray) -> np.ndarray:
    """Rows of `levels` [N, questions] where the condition certainly holds."""
    return _any(condition, levels, unknown=False)


def may_hold(condition: Condition, levels: np.ndarray) -> np.ndarray:
    """Rows of `levels` [N, questions] where the condition holds for some value of the unknowns."""
    return _any(condition, levels, unknown=True)


def _any(condition: Condition, levels: np.ndarray, *, unknown: bool) -> np.ndarray:
    rows = np.zeros(len(levels), dtype=bool)
    for alternative in condition:
        rows |= _all(alternative, levels, unknown=unknown)
    return rows


def _all(
    alternative: Mapping[int, frozenset[int]], levels: np.ndarray, *, unknown: bool
) -> np.ndarray:
    rows = np.ones(len(levels), dtype=bool)
    for question, satisfying in alternative.items():
        column = levels[:, question]
        wanted = satisfying | {UNKNOWN} if unknown else satisfying
        rows &= np.logical_or.reduce([column == level for level in wanted])
    return rows
