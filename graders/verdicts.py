"""The five verdicts and their order."""

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """What can be said, worst first: FAIL > HARNESS_ERROR > INCONCLUSIVE > WARN > PASS.

    A real violation is reported even if something else went wrong with the run.
    """

    FAIL = "FAIL"
    HARNESS_ERROR = "HARNESS_ERROR"
    INCONCLUSIVE = "INCONCLUSIVE"
    WARN = "WARN"
    PASS = "PASS"  # noqa: S105

    @property
    def sign(self) -> str:
        """One character that stands beside the word, so that state is never colour alone."""
        return {"FAIL": "✗", "HARNESS_ERROR": "⚙", "INCONCLUSIVE": "?", "WARN": "!", "PASS": "✓"}[
            self
        ]

    @property
    def word(self) -> str:
        """The verdict for people."""
        return self.value.replace("_", " ")


ORDER = list(Verdict)


def worst(verdicts: Iterable[Verdict], default: Verdict = Verdict.PASS) -> Verdict:
    """The worst of the verdicts; `default` when there are none."""
    return min(verdicts, key=ORDER.index, default=default)
