"""Says which half of the kill matrix a run plays."""

from tests.challenges.test_matrix import CASES, PART


def pytest_report_header() -> str:
    return f"kill matrix: {len(CASES)} cases, MATRIX_PART={PART} (0, 1, or all)"
