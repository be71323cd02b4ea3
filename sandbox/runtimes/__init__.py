"""What a candidate's program runs on, one module per language."""

from sandbox.runtimes import python
from sandbox.runtimes.runtime import Runtime

RUNTIMES: dict[str, Runtime] = {"python": python.RUNTIME}
LANGUAGES = tuple(RUNTIMES)


def get_runtime(language: str) -> Runtime:
    """Return the runtime of `language`; ValueError, naming the known ones, when there is none."""
    try:
        return RUNTIMES[language]
    except KeyError:
        known = ", ".join(LANGUAGES)
        raise ValueError(f"No runtime for the language '{language}'. Known: {known}") from None


__all__ = ["LANGUAGES", "RUNTIMES", "Runtime", "get_runtime"]
