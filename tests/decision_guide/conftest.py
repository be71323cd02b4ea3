import pytest

from decision_guide import Model, load_model
from decision_guide.cases import Case, Twin, load_cases, load_twins
from decision_guide.model import Criterion, Decision, Option


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model()


@pytest.fixture(scope="session")
def cases(model) -> list[Case]:
    return load_cases(model)


@pytest.fixture(scope="session")
def twins(model) -> list[Twin]:
    return load_twins(model)


@pytest.fixture(scope="session")
def decision_of():
    """Makes a decision of a matrix [options, criteria] and weights that sum to 1."""
    return _decision


def _decision(values, weights, unknown=None) -> Decision:
    """`unknown`: the worst and best value that option 0 may have in the first criterion."""
    options = tuple(Option(str(o), str(o), str(o), "", o, (), ()) for o in range(len(values)))
    criteria = []
    for c, weight in enumerate(weights):
        rows, shares, question = [(v,) for v in values[:, c]], (1.0,), None
        if unknown and c == 0:
            rows, shares, question = [unknown, *((v, v) for v in values[1:, 0])], (0.5, 0.5), 0
        criteria.append(Criterion((), "H", str(c), "", question, weight, "", tuple(rows), shares))
    return Decision("d", "", "", options, tuple(criteria))
