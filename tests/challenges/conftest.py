"""Says which half of the kill matrix a run plays."""

from tests.challenges.test_matrix import CASES, SEED


def pytest_report_header() -> str:
    return f"kill matrix: {len(CASES)} cases, drawn by MATRIX_SEED={SEED} (MATRIX_SEED=all for all)"
