"""Everything in the workspace can be done without a mouse."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.served import JUDGED_MS, accept, editor_text, invite

pytestmark = [pytest.mark.browser, pytest.mark.services]


@pytest.fixture
def page(platform, interviewer, open_page) -> Page:
    page = open_page().page
    accept(page, invite(interviewer, platform))
    return page


def focused(page: Page) -> str:
    """The id, name or text of what has the focus, inside the editor's shadow root too."""
    return page.evaluate(
        """() => {
            let node = document.activeElement;
            while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
            return node.id || node.getAttribute('aria-label') || node.textContent.trim();
        }"""
    )


def test_edit_run_and_stop_without_a_mouse(page):
    assert focused(page) == "Text of main.py"
    page.keyboard.type("print('hello from the keyboard', flush=True)\n")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("tab", name="Results")).to_have_attribute("aria-selected", "true")
    said = page.locator(".output__line").filter(has_text="hello from the keyboard")
    expect(said.first).to_be_visible(timeout=JUDGED_MS)
    page.locator("#stop").press("Enter")
    expect(page.locator("#run-state")).to_have_text("Stopped")


def test_tab_indents(page):
    page.keyboard.press("Tab")
    assert editor_text(page).startswith('    """')


def test_escape_then_tab_leaves_the_editor(page):
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert focused(page) != "Text of main.py"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "Text of main.py"


def test_f6_goes_round_the_panes(page):
    visited = []
    for _ in range(4):
        page.keyboard.press("F6")
        visited.append(focused(page))
    assert visited == ["tab-statement", "All", "file-add", "Text of main.py"]


def test_question_mark_shows_the_shortcuts(page):
    page.locator("#tab-statement").press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_submit_asks_before_it_is_final(page):
    page.keyboard.press("Control+Shift+Enter")
    dialog = page.get_by_role("dialog", name="Submit your solution?")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("#no-results")).to_be_attached()


def test_a_pane_is_resized_with_arrow_keys_and_stays_so(page):
    border = page.get_by_role("separator", name="Height of the output")
    before = int(border.get_attribute("aria-valuenow"))
    border.press("ArrowUp")
    expect(border).to_have_attribute("aria-valuenow", str(before + 24))
    page.reload()
    expect(border).to_have_attribute("aria-valuenow", str(before + 24))


def test_arrow_keys_move_between_tabs(page):
    page.locator("#tab-statement").press("ArrowRight")
    assert focused(page) == "tab-results"
    expect(page.locator("#panel-results")).to_be_visible()
    expect(page.locator("#panel-statement")).to_be_hidden()


def test_a_chosen_theme_is_kept_and_shown_from_the_first_moment(page):
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Switch between light and dark").press("Enter")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
