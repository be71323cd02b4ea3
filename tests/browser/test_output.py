"""Much output stays quick, and what is being read does not move."""

import pytest
from playwright.sync_api import expect

from tests.browser.served import JUDGED_MS, accept, invite, write_program

pytestmark = [pytest.mark.browser, pytest.mark.services]
LINES = 3000
PROGRAM = f"""
import itertools, os, sys, time
for n in range({LINES}):
    print("line", n)
sys.stdout.flush()
for n in itertools.count():
    print("tick", n, flush=True)
    time.sleep(0.1)
"""


def test_thousands_of_lines_can_be_followed_and_read(platform, interviewer, open_page):
    page = open_page().page
    accept(page, invite(interviewer, platform))
    write_program(page, PROGRAM)
    page.keyboard.press("Control+Enter")
    page.locator("#output-scenario").select_option("A quiet day")
    output, lines = page.locator("#output"), page.locator(".output__line")
    expect(lines.filter(has_text="tick").first).to_be_visible(timeout=JUDGED_MS)
    assert lines.count() < 200, "only the lines in view are in the page"

    output.evaluate("box => { box.scrollTop = 0; }")
    expect(lines.first).to_have_text("appline 0")
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "false")
    height = output.evaluate("box => box.scrollHeight")
    grown = "([box, height]) => new Promise(done => { const look = () => box.scrollHeight > height"
    grown += " ? done(box.scrollTop) : requestAnimationFrame(look); look(); })"
    assert page.evaluate(grown, [output.element_handle(), height]) == 0, "the view stayed"
    expect(lines.first).to_have_text("appline 0")

    page.get_by_role("tab", name="app", exact=True).click()
    expect(lines.first).to_have_text("line 0")
    page.locator("#follow").click()
    expect(lines.filter(has_text="tick").last).to_be_in_viewport()
    page.locator("#stop").click()
    expect(page.locator("#run-state")).to_have_text("Stopped")
