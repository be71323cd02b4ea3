"""One served platform and one browser for all browser tests; a watched page for each."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.served import CHROMIUM, FLAGS, Platform, Watched, log_in, served
from tests.states import new_folder

PATIENCE_MS = 15_000
"""For what is waited for on a page: a busy machine makes us slow, not wrong."""
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH; on Debian: apt-get install chromium-headless-shell")
    with new_folder(ignore_errors=True) as folder, served(folder) as platform:
        yield platform


@pytest.fixture(scope="session")
def browser(platform) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def logged_in(browser: Browser, platform: Platform) -> dict:
    """The cookies of the interviewer, so that each test need not log in."""
    context = browser.new_context()
    log_in(context.new_page(), platform)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def open_page(browser: Browser, platform: Platform) -> Iterator[Callable[..., Watched]]:
    """Opens a page in a browser profile of its own; fails the test when anything went wrong on it:
    an exception, a console error, a Content-Security-Policy violation, a request elsewhere."""
    watched: list[Watched] = []

    def open_(**options) -> Watched:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        watched.append(Watched(context.new_page()))
        return watched[-1]

    yield open_
    for each in watched:
        each.page.context.close()
    problems = [problem for each in watched for problem in each.problems]
    assert not problems, "\n".join([*problems, "The platform said:", *platform.said[-40:]])


@pytest.fixture
def interviewer(open_page, logged_in) -> Page:
    return open_page(storage_state=logged_in).page
