"""From an invite to the interviewer's report, on a real broker."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.served import JUDGED_MS, SOLUTIONS, accept, invite, write_program

pytestmark = [pytest.mark.browser, pytest.mark.services]
FORGETFUL = (SOLUTIONS / "rejected" / "no_dedup" / "main.py").read_text()
NODE = (SOLUTIONS / "accepted" / "node_kafkajs" / "main.js").read_text()
TALKATIVE = FORGETFUL.replace(
    "self.handle(", 'print("one more", flush=True)\n            self.handle('
)


@pytest.mark.timeout(1000)
def test_from_invite_to_the_interviewers_report(platform, interviewer, open_page):
    link = invite(interviewer, platform, "Åsa Grünwald")
    candidate = open_page().page
    accept(candidate, link)
    expect(candidate.get_by_role("heading", name="Idempotent consumer", level=1)).to_be_visible()
    write_program(candidate, TALKATIVE)

    candidate.get_by_role("button", name="Run", exact=True).click()
    expect(candidate.locator(".output__line").first).to_be_visible(timeout=JUDGED_MS)
    expect(candidate.locator("#progress [data-verdict]").first).to_be_visible(timeout=JUDGED_MS)
    report = candidate.get_by_role("link", name="Full report")
    expect(report).to_be_visible(timeout=JUDGED_MS)
    duplicate = candidate.locator("#check-EFF-2")
    expect(duplicate.locator("summary")).to_contain_text("FAIL")
    expect(duplicate.locator(".evidence").first).to_be_attached()

    candidate.get_by_role("button", name="Submit", exact=True).click()
    candidate.get_by_role("dialog").get_by_role("button", name="Submit", exact=True).click()
    expect(candidate.locator("#run-choice")).to_have_value(re.compile("Submission 2"))
    expect(report).to_be_visible(timeout=JUDGED_MS)

    interviewer.goto(f"{platform.address}/interviews?q=Gr%C3%BCnwald")
    row = interviewer.get_by_role("row").filter(has_text="Åsa Grünwald").first
    expect(row).to_contain_text("Graded")
    expect(row).to_contain_text("FAIL")
    row.get_by_role("link").click()
    interviewer.get_by_role("link", name="Read the report").click()
    expect(interviewer.locator(".report-head")).to_contain_text("FAIL")
    expect(interviewer.locator(".matrix")).to_contain_text("EFF-2")
    expect(interviewer.locator(".matrix tbody th").first).to_have_text(re.compile(r"\d (s|min)"))
    expect(interviewer.locator("#check-EFF-2 .evidence").first).to_be_visible()
    expect(interviewer.locator("#questions li").first).to_be_visible()
    expect(interviewer.locator("#code")).to_contain_text("main.py")


def test_a_program_that_cannot_start_is_told_why(platform, interviewer, open_page):
    candidate = open_page().page
    accept(candidate, invite(interviewer, platform))
    write_program(candidate, "def broken(:\n")
    candidate.keyboard.press("Control+Enter")
    checks = candidate.locator("#checks")
    expect(checks).to_contain_text("The program was not started.", timeout=JUDGED_MS)
    expect(checks).to_contain_text("main.py")
    expect(candidate.locator("#run-state")).to_contain_text("FAIL")


def test_a_candidate_may_write_node(platform, interviewer, open_page):
    candidate = open_page().page
    accept(candidate, invite(interviewer, platform, "Ada Node"), "Node.js")
    expect(candidate.get_by_role("button", name="books.js")).to_be_visible()
    write_program(candidate, NODE, "main.js")
    candidate.keyboard.press("Control+Enter")
    state = candidate.locator("#run-state")
    expect(state).to_contain_text("PASS", timeout=JUDGED_MS)
    interviewer.goto(f"{platform.address}/interviews?q=Ada+Node")
    interviewer.get_by_role("row").filter(has_text="Ada Node").get_by_role("link").click()
    expect(interviewer.locator(".facts").first).to_contain_text("Node.js")


def test_an_invite_opens_once(platform, interviewer, open_page):
    link = invite(interviewer, platform)
    first = open_page()
    accept(first.page, link)
    again = open_page()
    again.page.goto(link)
    expect(again.page.get_by_role("heading", level=1)).to_be_visible()
    expect(again.page.get_by_role("button", name="Start")).to_have_count(0)
    again.forgive("status of 4")
    first.page.goto(link)  # the browser that accepted it gets back to its work
    expect(first.page.locator(".cm-content")).to_be_visible()


def test_a_wrong_password_is_told_without_saying_which_part_was_wrong(platform, open_page):
    watched = open_page()
    page = watched.page
    page.goto(f"{platform.address}/login")
    page.get_by_label("E-mail").fill(platform.email)
    page.get_by_label("Password").fill("not the password at all")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("E-mail or password is wrong.")
    watched.forgive("status of 401")
