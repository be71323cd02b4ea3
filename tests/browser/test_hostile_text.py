"""Text that tries to be markup or script stays text, wherever it is shown."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.served import JUDGED_MS, accept, invite, write_program

pytestmark = [pytest.mark.browser, pytest.mark.services]
NAME = """</title><script>window.hacked=1</script>"><img src=x onerror=window.hacked=1>"""
FILE = """a"onfocus="window.hacked=1"<img src=x onerror=window.hacked=1>.py"""
OUTPUT = r"""
import sys, time
for text in (
    "<img src=x onerror=window.hacked=1>", "</script><script>window.hacked=1</script>",
    "\x1b]8;;javascript:window.hacked=1\x07click\x1b]8;;\x07", "\x1b[2J\x1b[31mred",
    "rtl \u202e gnp.exe",
    "event: report\ndata: {}\n\n", "\rid: 999999\r", "nul \0 here", "x" * 30_000,
):
    print(text, flush=True)
sys.stdout.buffer.write(b"\xff\xfe not utf-8\n")
sys.stdout.flush()
print("the last line", flush=True)
time.sleep(60)
"""


def assert_inert(page: Page) -> None:
    """No script of the candidate ran, and none of its markup became an element."""
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0


def test_names_files_and_output_are_only_text(platform, interviewer, open_page):
    link = invite(interviewer, platform, NAME)
    page = open_page().page
    page.goto(link)
    assert_inert(page)
    accept(page, link)
    page.get_by_role("button", name="New file").click()
    page.get_by_label("Path in the project").fill(FILE)
    page.keyboard.press("Enter")
    expect(page.locator("#editor-path")).to_have_text(FILE)
    write_program(page, OUTPUT)
    page.keyboard.press("Control+Enter")
    last = page.locator(".output__line").filter(has_text="the last line").first
    expect(last).to_be_visible(timeout=JUDGED_MS)
    assert_inert(page)
    page.locator("#stop").click()
    expect(page.locator("#run-state")).to_have_text("Stopped")

    interviewer.goto(f"{platform.address}/interviews?q=hacked")
    row = interviewer.get_by_role("row").filter(has_text=NAME).first
    expect(row).to_be_visible()
    assert_inert(interviewer)
    row.get_by_role("link").click()
    expect(interviewer.get_by_role("heading", level=1)).to_have_text(NAME)
    expect(interviewer.get_by_text(FILE)).to_be_visible()
    assert_inert(interviewer)


def test_a_search_term_is_only_text(platform, interviewer):
    interviewer.goto(
        f"{platform.address}/interviews?q=%22%3E%3Cimg+src=x+onerror=window.hacked=1%3E"
    )
    expect(interviewer.get_by_label("Name or e-mail")).to_have_value(re.compile("onerror"))
    assert_inert(interviewer)


def test_the_policy_would_stop_a_script_that_slipped_in(platform, open_page):
    watched = open_page()
    watched.page.goto(f"{platform.address}/login")
    watched.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.hacked = 1';
            document.body.append(script);
            document.body.setAttribute('style', 'display: none');
        }"""
    )
    assert_inert(watched.page)
    expect(watched.page.get_by_role("heading", level=1)).to_be_visible()
    assert len(watched.problems) == 2
    watched.forgive("Content Security Policy")
