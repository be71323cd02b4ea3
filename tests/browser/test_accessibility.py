"""axe-core finds nothing serious on any page, in either theme, and every page fits 360 pixels."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.served import JUDGED_MS, SOLUTIONS, accept, invite, write_program
from webapp import frontend_build

pytestmark = [pytest.mark.browser, pytest.mark.services]
AXE = frontend_build.FRONTEND / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SERIOUS = ("serious", "critical")
SCHEMES = ("light", "dark")
PUBLIC = {
    "home": "/",
    "login": "/login",
    "challenges": "/challenges",
    "challenge": "/challenges/idempotent_consumer",
    "not found": "/nothing/here",
    "no such invite": "/invites/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
}


@pytest.fixture(scope="module")
def judged(browser, platform, logged_in) -> dict[str, str]:
    """Paths of the pages about a candidate with one finished run, and that candidate's cookies."""
    staff = browser.new_context(storage_state=logged_in)
    link = invite(staff.new_page(), platform, "Jean-Baptiste Zorg-Kowalczyk de Villeneuve", "90")
    open_link = invite(staff.pages[0], platform, "Not yet here")
    context = browser.new_context()
    page = context.new_page()
    accept(page, link)
    write_program(page, (SOLUTIONS / "rejected" / "no_dedup" / "main.py").read_text())
    page.keyboard.press("Control+Enter")
    report = page.get_by_role("link", name="Full report")
    expect(report).to_be_visible(timeout=JUDGED_MS)
    attempt = page.url.removeprefix(platform.address)
    found = {
        "attempt": attempt,
        "report": report.get_attribute("href"),
        "invite": open_link.removeprefix(platform.address),
        "cookies": context.storage_state(),
    }
    context.close()
    staff.close()
    return found


def violations(page: Page) -> list[str]:
    """What axe-core finds serious on this page, one line each."""
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        "rules => axe.run({runOnly: rules}).then(result => result.violations)", RULES
    )
    return [
        f"{rule['id']}: {rule['help']}: {node['target']} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


def check(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert not violations(page), "\n".join(violations(page))
    page.set_viewport_size({"width": 360, "height": 740})
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360, f"{address} is {wide} pixels wide in a window of 360"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PUBLIC)
def test_public_pages(platform, open_page, name, scheme):
    watched = open_page(color_scheme=scheme)
    check(watched.page, platform.address + PUBLIC[name])
    watched.forgive("status of 404")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", ["", "?q=nobody+has+this+name", "/invites/new"])
def test_interviewers_pages(platform, open_page, logged_in, judged, path, scheme):
    page = open_page(color_scheme=scheme, storage_state=logged_in).page
    check(page, f"{platform.address}/interviews{path}")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pages_about_a_candidate(platform, open_page, logged_in, judged, scheme):
    page = open_page(color_scheme=scheme, storage_state=logged_in).page
    check(page, f"{platform.address}/interviews{judged['attempt']}")
    page.set_viewport_size({"width": 1280, "height": 900})
    check(page, platform.address + judged["report"])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_candidates_pages(platform, open_page, judged, scheme):
    page = open_page(color_scheme=scheme, storage_state=judged["cookies"]).page
    check(page, platform.address + judged["attempt"])
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("tab", name="Results").click()
    expect(page.locator("#checks details").first).to_be_visible()
    assert not violations(page), "\n".join(violations(page))
    page.goto(platform.address + judged["report"])
    assert not violations(page), "\n".join(violations(page))
    page.goto(platform.address + judged["invite"])
    assert not violations(page), "\n".join(violations(page))


def test_dialogs(platform, open_page, judged):
    page = open_page(storage_state=judged["cookies"]).page
    page.goto(platform.address + judged["attempt"])
    for name in ("New file", "Keyboard shortcuts", "Submit"):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert not violations(page), "\n".join(violations(page))
        page.keyboard.press("Escape")
