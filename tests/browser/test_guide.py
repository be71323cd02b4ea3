"""The decision guide in a browser: live, by keyboard, with and without its script."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from decision_guide import evaluate, load_model, parse_answers
from tests.browser.test_accessibility import SCHEMES, check, violations

pytestmark = [pytest.mark.browser, pytest.mark.services]
MODEL = load_model()
QUICK = {
    "consumers": "three-to-five",
    "replay": "months",
    "answer_needed": "some-requests",
    "teams": "two-or-three-teams",
    "history": "audit-log",
}
SHOP = {
    "title": "Order flow",
    "answers": {
        **QUICK,
        "erasure": "not sure",
        "payload": {"does_not_apply": "architecture-constraints"},
        "throughput": 80,
    },
}


def sentence(answers: dict) -> str:
    return evaluate(MODEL, parse_answers(MODEL, {"answers": answers})).composite.sentence


def file_of(document: dict) -> dict:
    content = json.dumps(document).encode()
    return {"name": "ANSWERS.json", "mimeType": "application/json", "buffer": content}


def option(page: Page, question: str, answer: str):
    return page.locator(f'[type="radio"][name="choice.{question}"][value="{answer}"]')


def open_file(page: Page, address: str, document: dict) -> None:
    page.goto(f"{address}/guide")
    page.get_by_label("A file of answers").set_input_files(file_of(document))
    page.get_by_role("button", name="Show the result").click()
    expect(page.locator("article.result, ul.problems")).to_be_visible()


@pytest.fixture
def page(platform, open_page) -> Page:
    page = open_page().page
    page.goto(f"{platform.address}/guide")
    return page


def test_the_strip_follows_and_the_address_holds_the_answers(page):
    sent = []
    page.on("request", lambda request: sent.append((request.url, request.post_data or "")))
    page.get_by_role("button", name="Quick pass").click()
    strip = page.get_by_role("complementary", name="Leaning so far")
    expect(strip).to_contain_text("No answer yet.")
    option(page, "consumers", "six-or-more").check()
    expect(strip).to_contain_text("Publish-subscribe broker")
    expect(strip).to_contain_text("open questions could still change the result.")
    expect(page).to_have_url(re.compile(r"/guide/questions#eda-fit\.[0-9a-f]{8}\.[\w-]{13}$"))
    permalink = page.url.partition("#")[2]
    option(page, "consumers", "one").check()
    expect(strip).not_to_contain_text("Publish-subscribe broker")
    assert not [url for url, body in sent if permalink in url or permalink in body]


def test_a_link_opens_the_same_result_elsewhere(page, platform, open_page):
    open_file(page, platform.address, SHOP)
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(sentence(SHOP["answers"]))
    expect(page).to_have_url(re.compile(r"/guide/result#eda-fit\."))
    elsewhere = open_page().page
    elsewhere.goto(page.url)
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text(sentence(SHOP["answers"]))
    for said in ("not sure", "does not apply, because the architecture forbids it", "1 to 100"):
        answers = elsewhere.locator("#your-answers")
        expect(answers.get_by_role("cell", name=said, exact=True)).to_be_visible()
    elsewhere.reload()
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text(sentence(SHOP["answers"]))


@pytest.mark.parametrize(
    ("permalink", "problem"),
    [
        ("eda-fit.00000000.YAAAAAAAAAAAA", "was made for another version of the guide"),
        (f"eda-fit.{MODEL.hash[:8]}.YA", "is damaged or cut off"),
        (f"eda-fit.{MODEL.hash[:8]}.YA!AAAAAAAAAA", "is damaged or cut off"),
    ],
)
def test_a_link_that_cannot_be_read_says_why(page, platform, permalink, problem):
    page.goto(f"{platform.address}/guide/result#{permalink}")
    expect(page.locator("#link-problem")).to_contain_text(problem)


def test_back_and_reload_show_what_was_there(page):
    page.get_by_role("button", name="Quick pass").click()
    option(page, "consumers", "two").check()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Question 2 of 5")).to_be_visible()
    option(page, "replay", "days").check()
    expect(page).to_have_url(re.compile("#"))
    page.go_back()
    expect(page.get_by_text("Question 1 of 5")).to_be_visible()
    expect(option(page, "consumers", "two")).to_be_checked()
    page.go_forward()
    expect(page.get_by_text("Question 2 of 5")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Question 2 of 5")).to_be_visible()
    expect(option(page, "replay", "days")).to_be_checked()


def test_a_refusal_keeps_the_page_and_what_is_on_it(platform, open_page):
    watched = open_page()
    page = watched.page
    page.goto(f"{platform.address}/guide")
    page.get_by_role("button", name="Quick pass").click()
    refusal = {"message": "Wait 1 s.", "advice": "Your answers are kept.", "retry_after": 1}
    page.route("**/guide/*", lambda route: route.fulfill(status=429, json=refusal))
    option(page, "consumers", "six-or-more").check()
    strip = page.get_by_role("complementary", name="Leaning so far")
    expect(strip).to_have_attribute("data-stale", "")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Wait 1 s. Your answers are kept.")).to_be_visible()
    expect(option(page, "consumers", "six-or-more")).to_be_checked()
    page.unroute("**/guide/*")
    expect(strip).to_contain_text("Publish-subscribe broker")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Question 2 of 5")).to_be_visible()
    watched.forgive("status of 429")


def test_a_button_pressed_twice_goes_on_once(page):
    page.get_by_role("button", name="Quick pass").click()
    expect(page.get_by_text("Question 1 of 5")).to_be_visible()
    page.get_by_role("button", name="Next").dblclick()
    expect(page.get_by_text("Question 2 of 5")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Question 1 of 5")).to_be_visible()


def test_answers_are_kept_in_the_browser_until_they_are_forgotten(page, platform):
    page.get_by_label("All on one page").check()
    page.get_by_role("button", name="Full pass").click()
    option(page, "replay", "none").check()
    expect(page).to_have_url(re.compile("#"))
    page.goto(f"{platform.address}/guide")
    expect(page.get_by_text("1 answer, kept in this browser")).to_be_visible()
    page.get_by_role("button", name="Go on", exact=True).click()
    expect(option(page, "replay", "none")).to_be_checked()
    page.goto(f"{platform.address}/guide")
    page.get_by_role("button", name="Forget these answers").click()
    page.reload()
    expect(page.get_by_text("kept in this browser on")).to_be_hidden()


def test_number_range_and_reason_agree(page):
    page.get_by_label("All on one page").check()
    page.get_by_role("button", name="Full pass").click()
    question = page.locator("#q-throughput")
    number = question.get_by_label("Or a number")
    number.fill("1,500")
    expect(option(page, "throughput", "under-10000")).to_be_checked()
    option(page, "throughput", "under-1").check()
    expect(number).to_have_value("")
    question.get_by_label("Why it does not apply").select_option("other")
    expect(option(page, "throughput", "does not apply")).to_be_checked()


def test_what_drops_out_is_shown_and_comes_back(page):
    page.get_by_label("All on one page").check()
    page.get_by_role("button", name="Full pass").click()
    option(page, "compensation", "undo").check()
    note = page.locator('[data-asked="compensation"]').get_by_text("Not asked while")
    expect(note).to_be_hidden()
    option(page, "steps", "one").check()
    expect(note).to_be_visible()
    option(page, "steps", "two").check()
    expect(note).to_be_hidden()
    expect(option(page, "compensation", "undo")).to_be_checked()


def test_the_quick_pass_by_keyboard_alone(page):
    page.get_by_label("What are you deciding about?").press("Enter")
    for number, (question, answer) in enumerate(QUICK.items(), start=1):
        expect(page.get_by_text(f"Question {number} of 5")).to_be_visible()
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        place = [a.id for a in MODEL.questions[MODEL.question(question)].answers].index(answer)
        page.keyboard.press("Tab")  # to "How to find out"
        page.keyboard.press("Tab")  # to the answers
        page.keyboard.press("Space")
        for _ in range(place):
            page.keyboard.press("ArrowDown")
        expect(option(page, question, answer)).to_be_checked()
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(sentence(QUICK))
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_links_within_the_page_leave_the_answers_in_the_address(page, platform):
    open_file(page, platform.address, SHOP)
    expect(page).to_have_url(re.compile("#eda-fit"))
    before = page.url
    page.get_by_role("navigation", name="On this page").get_by_text("Sources").click()
    expect(page.locator("#sources")).to_be_focused()
    assert page.url == before


def test_the_next_question_is_one_click_away(page, platform):
    open_file(page, platform.address, SHOP)
    result = evaluate(MODEL, parse_answers(MODEL, SHOP))
    first = result.next_questions[0]
    name = re.compile(rf"Answer ?: {re.escape(first.text)}")
    page.locator("#ask").get_by_role("button", name=name).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(first.text)


def test_answers_come_back_from_their_file(page, platform):
    open_file(page, platform.address, SHOP)
    with page.expect_download() as download:
        page.get_by_role("button", name="Answers (ANSWERS.json)").click()
    document = json.loads(download.value.path().read_text())
    assert parse_answers(MODEL, document) == parse_answers(MODEL, SHOP)
    open_file(page, platform.address, document)
    expect(page.get_by_role("heading", level=1)).to_have_text(sentence(SHOP["answers"]))


def test_a_wrong_file_gets_the_path_and_what_is_allowed(platform, open_page):
    watched = open_page()
    open_file(watched.page, platform.address, {"answers": {"replay": "weekly"}})
    expect(watched.page.get_by_text("$.answers.replay")).to_be_visible()
    expect(watched.page.get_by_text('Allowed: "none", "days"')).to_be_visible()
    watched.forgive("status of 400")


def test_on_paper_nothing_is_cut_off(page, platform):
    open_file(page, platform.address, SHOP)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 900})  # a page of A4 within its margins
    wide = page.evaluate(
        "Math.max(...[...document.querySelectorAll('main *')].map("
        "node => node.getBoundingClientRect().right))"
    )
    assert wide <= 688
    expect(page.get_by_text(f"Model {MODEL.id} {MODEL.version}").first).to_be_visible()
    expect(page.get_by_text(page.url)).to_be_visible()
    expect(page.get_by_role("button", name="Print")).to_be_hidden()


def test_on_paper_everything_is_unfolded(page, platform):
    open_file(page, platform.address, SHOP)
    folded = page.locator("details:not([open])")
    expect(folded).not_to_have_count(0)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(folded).to_have_count(0)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(folded).not_to_have_count(0)


def test_all_the_way_without_a_script(platform, open_page):
    page = open_page(java_script_enabled=False).page
    page.goto(f"{platform.address}/guide")
    page.get_by_role("button", name="Quick pass").click()
    for question, answer in QUICK.items():
        option(page, question, answer).check()
        page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(sentence(QUICK))
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    page.go_back()
    expect(page.get_by_text("Question 5 of 5")).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pages_for_everybody_are_accessible(platform, open_page, scheme):
    page = open_page(color_scheme=scheme).page
    for path in ("", "/questions", "/questions?layout=all", "/compare", "/result"):
        page.set_viewport_size({"width": 1280, "height": 900})
        check(page, f"{platform.address}/guide{path}")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_result_is_accessible(platform, open_page, scheme):
    page = open_page(color_scheme=scheme).page
    open_file(page, platform.address, SHOP)
    fits(page)
    page.evaluate("document.querySelectorAll('details').forEach(node => (node.open = true))")
    fits(page)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_comparison_and_what_goes_wrong_are_accessible(platform, open_page, scheme):
    watched = open_page(color_scheme=scheme)
    page = watched.page
    page.goto(f"{platform.address}/guide/compare")
    later = {"title": "Later", "answers": {**QUICK, "history": "reconstruct"}}
    page.get_by_label("A file of answers").first.set_input_files(file_of(SHOP))
    page.get_by_label("A file of answers").last.set_input_files(file_of(later))
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="Order flow, and Later")).to_be_visible()
    fits(page)
    open_file(page, platform.address, {"answers": {"replay": "weekly"}})
    fits(page)
    check(page, f"{platform.address}/guide/rate/no-such-link")
    watched.forgive("status of 400", "status of 404")


def fits(page: Page) -> None:
    """Nothing serious, and no wider than a narrow window."""
    assert not violations(page), "\n".join(violations(page))
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_team_from_the_links_to_the_reveal(platform, open_page, logged_in, scheme):
    page = open_page(color_scheme=scheme, storage_state=logged_in).page
    check(page, f"{platform.address}/guide/team")
    page.get_by_label("What does the team decide about?").fill(f"Orders, {scheme}")
    page.get_by_label("Who answers?").fill("Ada\nBob")
    page.get_by_role("button", name="Make the links").click()
    expect(page.get_by_label("Link for Ada")).to_be_visible()
    fits(page)
    team = page.url
    links = [page.get_by_label(f"Link for {name}").input_value() for name in ("Ada", "Bob")]
    for link, answer in zip(links, ("one", "six-or-more"), strict=True):
        rater = open_page(color_scheme=scheme).page
        rater.goto(link)
        option(rater, "consumers", answer).check()
        rater.get_by_role("button", name="Next").click()
        expect(rater.get_by_text("Question 2 of")).to_be_visible()
        rater.get_by_role("button", name="All on one page").click()
        expect(option(rater, "consumers", answer)).to_be_checked()
        fits(rater)
        rater.get_by_role("button", name="Hand in for good").click()
    expect(rater.get_by_text("Worth discussing")).to_be_visible()
    page.goto(team)
    fits(page)
    page.get_by_label("The team's answer").first.select_option("two")
    page.get_by_label("Why").first.fill("Counted together")
    page.get_by_role("button", name="Settle", exact=True).first.click()
    expect(page.get_by_text("Settled: two.")).to_be_visible()
    page.get_by_role("button", name="The team's result").click()
    expect(page.get_by_text("Counted together")).to_be_visible()
    check(page, f"{team}/delete")
    page.get_by_role("button", name="Delete it for good").click()
    expect(page.get_by_text("is deleted.")).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_company_model_and_a_milestone(platform, open_page, logged_in, scheme):
    page = open_page(color_scheme=scheme, storage_state=logged_in).page
    check(page, f"{platform.address}/guide/companies")
    page.get_by_label("Company", exact=True).fill("Acme Ltd")
    page.get_by_label("Short name").fill(f"acme-{scheme}")
    page.get_by_role("button", name="Make a model").click()
    page.get_by_role("heading", name="Transport").click()
    page.get_by_role("heading", name="Add a knock-out").click()
    fits(page)
    page.get_by_role("link", name="Score with it").click()
    expect(page.get_by_text("Scored with the weights and knock-outs of Acme Ltd.")).to_be_visible()
    page.get_by_role("button", name="Quick pass").click()
    option(page, "consumers", "two").check()
    page.get_by_role("button", name="Show the result").click()
    expect(page).to_have_url(re.compile(r"\?company=\w+#eda-fit\+acme"))
    page.get_by_label("Name of the milestone").fill(f"First, {scheme}")
    page.get_by_role("button", name="Keep the milestone").click()
    expect(page.get_by_text("The same answers still lead to the same")).to_be_visible()
    fits(page)
    check(page, f"{platform.address}/guide/milestones")
