"""What was typed is not lost: not by a reload, a killed server, a lost line or a second window."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.served import accept, editor_text, invite

pytestmark = [pytest.mark.browser, pytest.mark.services]
SAVED = re.compile(r"^Saved \d\d:\d\d:\d\d$")
SAVED_MS = 60_000  # a killed server is started again, and the page tries again


@pytest.fixture
def watched(platform, interviewer, open_page):
    watched = open_page()
    accept(watched.page, invite(interviewer, platform))
    return watched


def type_line(page: Page, text: str) -> None:
    page.locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    page.keyboard.type(text + "\n")


def test_a_reload_shows_what_was_saved(watched):
    type_line(watched.page, "# first line of mine")
    expect(watched.page.locator("#saved")).to_have_text(SAVED)
    watched.page.reload()
    expect(watched.page.locator(".cm-content")).to_contain_text("# first line of mine")


def test_closing_the_page_at_once_loses_nothing(watched):
    type_line(watched.page, "# typed and gone")
    watched.page.reload()
    expect(watched.page.locator(".cm-content")).to_contain_text("# typed and gone")


def test_a_killed_web_server_loses_nothing(platform, watched):
    page = watched.page
    type_line(page, "# before the kill")
    expect(page.locator("#saved")).to_have_text(SAVED)
    platform.kill_web()
    type_line(page, "# while nobody listens")
    expect(page.locator("#saved")).to_contain_text("Not saved")
    expect(page.locator("#saved")).to_contain_text("kept in this browser")
    expect(page.locator("#saved")).to_have_text(SAVED, timeout=SAVED_MS)
    page.reload()
    expect(page.locator(".cm-content")).to_contain_text("# while nobody listens")
    expect(page.locator(".cm-content")).to_contain_text("# before the kill")
    watched.forgive("ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_SOCKET")


def test_text_that_never_reached_the_server_comes_back_from_this_browser(watched):
    page = watched.page
    page.route("**/files", lambda route: route.abort())
    type_line(page, "# only here")
    expect(page.locator("#saved")).to_contain_text("Not saved")
    page.reload()
    expect(page.locator(".cm-content")).to_contain_text("# only here")
    page.unroute("**/files")
    expect(page.locator("#saved")).to_have_text(SAVED, timeout=SAVED_MS)
    watched.forgive("ERR_FAILED")


def test_two_windows_keep_both_texts_and_ask(watched):
    page, other = watched.page, watched.page.context.new_page()
    other.goto(page.url)
    type_line(page, "# from the first window")
    expect(page.locator("#saved")).to_have_text(SAVED)
    type_line(other, "# from the second window")
    expect(other.locator("#notices")).to_contain_text("changed in another window")
    assert "# from the second window" in editor_text(other)
    other.get_by_role("button", name="Use the saved files").click()
    expect(other.locator(".cm-content")).to_contain_text("# from the first window")
    expect(other.locator("#saved")).to_have_text(SAVED)


def test_unsaved_text_of_this_browser_never_overwrites_newer_saved_files(watched):
    page = watched.page
    page.route("**/files", lambda route: route.abort())
    type_line(page, "# unsaved here")
    expect(page.locator("#saved")).to_contain_text("Not saved")
    answer = page.request.get(page.url)
    token = re.search(r'"csrf": "([^"]+)"', answer.text())[1]
    saved = page.request.put(
        f"{page.url}/files",
        data={"files": {"main.py": "# saved elsewhere"}, "base": 1},
        headers={"X-CSRFToken": token},
    )
    assert saved.ok
    page.unroute("**/files")
    page.reload()
    expect(page.locator("#notices")).to_contain_text("text from")
    expect(page.locator(".cm-content")).to_contain_text("# unsaved here")
    page.get_by_role("button", name="Keep this browser's text").click()
    expect(page.locator("#saved")).to_have_text(SAVED)
    page.reload()
    expect(page.locator(".cm-content")).to_contain_text("# unsaved here")
    watched.forgive("ERR_FAILED")


def test_files_can_be_added_renamed_and_deleted(watched):
    page = watched.page
    page.get_by_role("button", name="New file").click()
    page.get_by_label("Path in the project").fill("handlers/payments.py")
    page.keyboard.press("Enter")
    expect(page.locator("#editor-path")).to_have_text("handlers/payments.py")
    page.get_by_role("button", name="Rename the open file").click()
    page.get_by_label("Path in the project").fill("payments.py")
    page.get_by_role("button", name="Rename", exact=True).click()
    page.get_by_role("button", name="books.py").click()
    page.get_by_role("button", name="Delete the open file").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#saved")).to_have_text(SAVED)
    page.reload()
    names = page.locator(".files__name")
    expect(names.filter(has_text="payments.py")).to_have_count(1)
    expect(names.filter(has_text="handlers/")).to_have_count(0)
    expect(names.filter(has_text="books.py")).to_have_count(0)
