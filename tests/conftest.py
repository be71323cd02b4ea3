"""What all tests share: a skip of a test that CI must run is a failure there."""

import os

import pytest

MUST_RUN_IN_CI = ("services", "browser", "root")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """On CI, turn the skip of a services, browser or root test into a failure with its reason."""
    report = (yield).get_result()
    marked = [name for name in MUST_RUN_IN_CI if item.get_closest_marker(name)]
    if report.skipped and marked and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        kinds = ", ".join(marked)
        report.longrepr = f"skipped in CI, where {kinds} tests must run: {call_reason(report)}"


def call_reason(report: pytest.TestReport) -> str:
    """The reason given to pytest.skip."""
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests unless asked for with -m long, and drive the browser last:
    Playwright's event loop stays with the thread, and tests of asyncio cannot run after it."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
    if config.option.markexpr:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)
