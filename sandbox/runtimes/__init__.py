"""What a candidate's program runs on, one module per language."""

from collections.abc import Iterable, Mapping

from sandbox.runtimes import golang, java, node, python
from sandbox.runtimes.runtime import Runtime

RUNTIMES: dict[str, Runtime] = {
    r.language: r for r in (python.RUNTIME, java.RUNTIME, node.RUNTIME, golang.RUNTIME)
}
LANGUAGES = tuple(RUNTIMES)


def get_runtime(language: str) -> Runtime:
    """Return the runtime of `language`; ValueError, naming the known ones, when there is none."""
    try:
        return RUNTIMES[language]
    except KeyError:
        known = ", ".join(LANGUAGES)
        raise ValueError(f"No runtime for the language '{language}'. Known: {known}") from None


def available(languages: Iterable[str]) -> list[str]:
    """Return those of `languages` (known ones) that this machine can run, in their order."""
    return [language for language in languages if not get_runtime(language).missing()]


def language_of(files: Iterable[str]) -> str:
    """Return the language that files (their paths) are written in, by the entry point among them;
    the first one we know when there is none."""
    found = (name for name, runtime in RUNTIMES.items() if runtime.entry_point in set(files))
    return next(found, LANGUAGES[0])


def problems(language: str, files: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a submission at first sight, each problem one line for people.

    `files` maps path to text. Nothing of it is executed. Empty list: worth starting.
    """
    runtime = get_runtime(language)
    if not any(text.strip() for text in files.values()):
        return ["The submission is empty."]
    if runtime.entry_point not in files:
        return [f"There is no {runtime.entry_point}, with which the program begins."]
    if not files[runtime.entry_point].strip():
        return [f"{runtime.entry_point} is empty."]
    return runtime.check(files)


__all__ = [
    "LANGUAGES",
    "RUNTIMES",
    "Runtime",
    "available",
    "get_runtime",
    "language_of",
    "problems",
]
