"""The way to a result without an account and without a script: plain forms."""

import html
import json
import re

import pytest
from werkzeug.datastructures import MultiDict

from decision_guide import Answers, Given, GuideError, evaluate, parse_answers
from webapp import frontend_build
from webapp.guide import decision_models
from webapp.guide.answering import passes, sheet
from webapp.guide.answering.strip import strip

MODEL = decision_models.base()
CONSUMERS = MODEL.questions[MODEL.question("consumers")]
QUICK = {
    "consumers": "three-to-five",
    "replay": "months",
    "answer_needed": "some-requests",
    "teams": "two-or-three-teams",
    "history": "audit-log",
}


def answered(**values) -> Answers:
    return parse_answers(MODEL, {"answers": values})


def text_of(**values) -> str:
    return json.dumps({"answers": values})


def read(**fields) -> sheet.Sheet:
    return sheet.read(MODEL, MultiDict({"shown": "consumers", **fields}))


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({}, None),
        ({"choice.consumers": "two"}, Given(level=1)),
        ({"choice.consumers": "not sure"}, Given()),
        ({"number.consumers": " 4 "}, Given(level=2, number=4)),
        ({"number.consumers": "1,200"}, Given(level=3, number=1200)),
        ({"number.consumers": "4", "choice.consumers": "three-to-five"}, Given(2, 4)),
        (
            {"choice.consumers": "does not apply", "reason.consumers": "other"},
            Given(reason="other"),
        ),
        (
            {"choice.consumers": "two", "note.consumers": " a\n b ", "assumed.consumers": "on"},
            Given(level=1, note="a b", assumed=True),
        ),
    ],
)
def test_fields_become_an_answer_and_back(fields, given):
    answers = read(**fields).answers
    assert answers.given.get("consumers") == given
    shown = sheet.written(CONSUMERS, given)
    if given is not None:
        again = {f"{kind}.consumers": str(value) for kind, value in vars(shown).items() if value}
        assert read(**again).answers.given["consumers"] == given


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"choice.consumers": "does not apply"}, "Choose why it does not apply."),
        ({"number.consumers": "many"}, "Write a number of 0 or more, such as 80 or 0.5."),
        ({"number.consumers": "0,5"}, "Write a number of 0 or more, such as 80 or 0.5."),
        ({"number.consumers": "-1"}, "Write a number of 0 or more, such as 80 or 0.5."),
        ({"number.consumers": "9", "choice.consumers": "two"}, "9 is not in the range you chose."),
        ({"number.consumers": "9", "choice.consumers": "not sure"}, "9 is not in the range"),
        ({"note.consumers": "hm"}, "A note needs an answer."),
    ],
)
def test_what_cannot_be_read_is_shown_again_with_advice(client, fields, advice):
    filled = read(**fields)
    assert "consumers" not in filled.answers.given
    assert filled.refused["consumers"].error.startswith(advice)
    page = client.post(
        "/guide/questions",
        data={"shown": "consumers", "at": "consumers", "go": "next", **fields},
    )
    assert html.escape(advice, quote=False) in html.unescape(page.text)
    assert "<h1" in page.text and CONSUMERS.text in page.text


def test_an_answer_replaces_the_one_from_an_earlier_page():
    before = text_of(consumers="two", replay="days")
    assert read(answers=before, **{"choice.consumers": "one"}).answers.given == {
        "replay": Given(level=1),
        "consumers": Given(level=0),
    }
    assert "consumers" not in read(answers=before).answers.given


@pytest.mark.parametrize("fields", [{"choice.consumers": "lots"}, {"answers": "{"}])
def test_a_form_that_no_page_of_ours_sent_is_refused(client, fields):
    with pytest.raises(GuideError):
        read(**fields)
    answer = client.post("/guide/questions", data={"shown": "consumers", **fields})
    assert (answer.status_code, "This cannot be read" in answer.text) == (400, True)


def test_an_unknown_question_is_refused(client):
    assert client.post("/guide/strip", data={"shown": "nobody"}).status_code == 400


def turn(answers: Answers, **form) -> str | None:
    found = passes.turn(MODEL, answers, form)
    return None if found is None else found.shown[0].id


def test_a_pass_begins_at_its_first_open_question():
    assert turn(answered()) == "consumers"
    assert turn(answered(consumers="two"), **{"pass": "quick"}) == "replay"
    everything = answered(**QUICK)
    assert turn(everything, **{"pass": "quick"}) == "consumers"
    assert turn(everything, **{"pass": "full"}) == "services"


def test_next_and_back_leave_out_what_is_not_asked():
    alone = answered(steps="one")
    assert turn(alone, at="steps", go="next") == "read_write"
    assert turn(alone, at="read_write", go="back") == "steps"
    assert turn(answered(steps="two"), at="steps", go="next") == "compensation"


def test_the_end_of_a_pass_is_the_result():
    assert turn(answered(), **{"pass": "quick"}, at="history", go="next") is None
    assert turn(answered(), at="erasure", go="next") is None


def test_back_from_the_first_question_stays():
    assert turn(answered(), at="consumers", go="back") == "consumers"


def test_a_question_outside_the_quick_pass_goes_on_with_the_full_one():
    found = passes.turn(MODEL, answered(), {"pass": "quick", "go": "latency"})
    assert (found.shown[0].id, found.way.which) == ("latency", "full")


def test_the_strip_says_what_is_left():
    first = strip(MODEL, answered(consumers=4))
    assert first.answered == 1
    assert 0 < first.left <= len(MODEL.questions) - 1
    assert first.summary == f"{first.left} open questions could still change the result."
    unsure = strip(MODEL, answered(consumers=4, replay="not sure"))
    assert unsure.unsure == 1
    assert unsure.summary.endswith("So could 1 marked not sure.")


def test_the_strip_names_answers_that_drop_out():
    found = strip(MODEL, answered(steps="one", compensation="undo"))
    assert found.dropped == ("compensation",)
    assert "compensation" not in found.asked


def test_the_strip_leans_to_what_the_result_recommends():
    answers = answered(**QUICK)
    leaning = {d.id: d.label for d in strip(MODEL, answers).decisions}
    assert leaning == {d.id: d.label for d in evaluate(MODEL, answers, draws=100).decisions}


def test_no_answer_is_preselected(client):
    for layout in ("one", "all"):
        page = client.get(f"/guide/questions?layout={layout}").text
        assert 'type="radio" name="choice.' in page
        assert " checked" not in page


def test_every_question_can_be_left_unsure_or_not_applying(client):
    page = html.unescape(client.get("/guide/questions?layout=all").text)
    for question in MODEL.questions:
        name = re.escape(f'name="choice.{question.id}"')
        assert re.search(f'{name} value="not sure"', page)
        assert re.search(f'{name} value="does not apply"', page)
        assert question.why in page
        assert question.find_out in page


def test_the_quick_pass_ends_in_a_result_without_a_script(client):
    """Five pages of plain forms: each carries the answers so far in its own fields."""
    page = client.post("/guide/questions", data={"pass": "quick", "layout": "one", "title": "Shop"})
    for number, (id, answer) in enumerate(QUICK.items(), start=1):
        assert f"Question {number} of 5" in page.text
        data = hidden(page.text) | {f"choice.{id}": answer, "go": "next"}
        page = client.post("/guide/questions", data=data)
    assert (page.status_code, page.location) == (307, "/guide/result")  # the same form, once more
    page = client.post(page.location, data=data)
    sentence = evaluate(MODEL, answered(**QUICK)).composite.sentence
    assert sentence in html.unescape(page.text)
    assert "5 of 25 questions answered" in " ".join(page.text.split())


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the page's form with questions."""
    form = page[page.index('class="asking__form"') :]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in found}


def test_the_full_pass_on_one_page(client):
    data = {"pass": "full", "layout": "all", "shown": list(QUICK)}
    data |= {f"choice.{id}": answer for id, answer in QUICK.items()}
    again = client.post("/guide/questions", data=data).text
    assert again.count(" checked") == len(QUICK)
    result = client.post("/guide/result", data=data).text
    assert html.escape(evaluate(MODEL, answered(**QUICK)).composite.sentence) in result


def test_a_question_not_asked_is_said_to_be_so(client):
    data = {"layout": "all", "answers": text_of(steps="one")}
    page = client.post("/guide/questions", data=data).text
    assert re.search(r'data-dropped\s+data-asked="compensation"', page)
    assert not re.search(r'data-dropped\s+data-asked="steps"', page)


def test_live_answers_as_json(client):
    found = client.post("/guide/strip", data={"shown": "replay", "choice.replay": "none"}).json
    assert found["strip"]["answered"] == 1
    assert found["permalink"].startswith("eda-fit.")


def test_pages_may_be_shown_again_by_the_browsers_back(client):
    assert client.get("/guide").headers["Cache-Control"] == "private, no-cache"
    assert client.get("/").headers["Cache-Control"] == "no-store"


def test_home_leads_to_the_guide(client):
    assert 'href="/guide"' in client.get("/").text


def test_the_pages_own_script_is_small():
    """60 KB at most, with everything it imports."""
    frontend_build.build(print)
    wanted, seen = ["guide.js"], set()
    while wanted:
        name = wanted.pop()
        seen.add(name)
        text = (frontend_build.DIST / name).read_text()
        wanted += set(re.findall(r'(?:from|import)\s*"\./([^"]+)"', text)) - seen
    assert sum((frontend_build.DIST / name).stat().st_size for name in seen) <= 60_000


@pytest.mark.parametrize("number", [0, 1, 80, 0.5, 0.001, 1234567, 1234567.5, 1e12, 1e-7])
def test_a_number_comes_back_as_it_was(number):
    assert sheet.plain_number(sheet.number_text(number)) == number
