"""Team assessments: blind until all have answered, then what differs and what it decides."""

import html
import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from decision_guide import parse_answers
from webapp import retention
from webapp.db import utc_now
from webapp.guide import decision_models, links
from webapp.guide.team import forms, services
from webapp.guide.team.models import Assessment, Rater

MODEL = decision_models.base()
SAME = {"replay": "months", "answer_needed": "some-requests", "history": "audit-log"}
ADA = {**SAME, "consumers": "six-or-more", "latency": "seconds"}
BOB = {**SAME, "consumers": "one", "latency": "minutes"}


@pytest.fixture
def assessment(session, interviewer) -> Assessment:
    made = services.create(session, interviewer, "Order flow", ["Ada", "Bob"], None)
    session.commit()
    return made


@pytest.fixture
def link(app, assessment):
    """The path of the facilitator's page, or of a rater's by name."""

    def path(name: str | None = None) -> str:
        with app.test_request_context():
            if name is None:
                return f"/guide/team/{links.token(links.FACILITATOR, assessment.id)}"
            rater = next(r for r in assessment.raters if r.name == name)
            return f"/guide/rate/{links.token(links.RATER, rater.id)}"

    return path


def hand_in(client, path: str, answers: dict[str, str]):
    data = {f"choice.{id}": answer for id, answer in answers.items()}
    data |= {"shown": list(answers), "layout": "all", "go": "submit"}
    return client.post(path, data=data)


@pytest.fixture
def both(client, link) -> None:
    """Both raters have answered."""
    assert hand_in(client, link("Ada"), ADA).status_code == 303
    assert hand_in(client, link("Bob"), BOB).status_code == 303


def test_names_are_lines_and_each_counts_once():
    assert forms.names_in(" Ada \r\n\nBob\nAda\x00") == ["Ada", "Bob"]


def test_an_interviewer_makes_a_link_for_each_person(logged_in):
    made = logged_in.post("/guide/team", data={"title": "Shop", "raters": "Ada\nBob"})
    page = logged_in.get(made.location).text
    assert len(set(re.findall(r'value="(http://[^"]+/guide/rate/[^"]+)"', page))) == 2
    assert "0 of 2 have answered" in page
    assert 'href="' + made.location in logged_in.get("/guide/team").text


@pytest.mark.parametrize("names", ["Ada", "Ada\nAda", "", "x" * 61 + "\nBob"])
def test_an_assessment_needs_two_names(logged_in, names):
    page = logged_in.post("/guide/team", data={"title": "Shop", "raters": names})
    assert (page.status_code, "field__error" in page.text) == (200, True)


def test_a_link_that_we_did_not_sign_opens_nothing(client, link, assessment):
    assert client.get(f"/guide/team/{assessment.id}").status_code == 404
    rate, team = link("Ada").rpartition("/")[2], link().rpartition("/")[2]
    assert client.get(f"/guide/rate/{rate[:-1]}").status_code == 404
    assert client.get(f"/guide/team/{rate}").status_code == 404
    assert client.get(f"/guide/rate/{team}").status_code == 404
    assert client.post(f"/guide/rate/{team}", data={}).status_code == 404


def test_answers_are_kept_page_by_page(client, link, session, assessment):
    first = client.post(
        link("Ada"),
        data={"shown": "consumers", "choice.consumers": "two", "at": "consumers", "go": "next"},
    )
    assert first.location.endswith("layout=one&go=replay")
    page = client.get(link("Ada") + "?layout=all").text
    assert re.search(r'name="choice.consumers" value="two" checked', page)
    session.expire_all()
    assert session.get(Assessment, assessment.id).raters[0].answers["answers"] == {
        "consumers": "two"
    }


def test_what_cannot_be_read_keeps_a_rater_from_handing_in(client, link):
    path = link("Ada")
    page = client.post(path, data={"shown": "consumers", "number.consumers": "x", "go": "submit"})
    assert (page.status_code, "Write a number" in page.text) == (200, True)
    assert "Your answers are in" not in client.get(path).text


def test_nobody_sees_answers_before_all_are_in(client, link, logged_in):
    hand_in(client, link("Ada"), {**ADA, "services": "over-twenty"})
    for browser, path in ((client, link("Ada")), (client, link("Bob")), (logged_in, link())):
        page = browser.get(path).text
        assert "more than twenty</th>" not in page
        assert "The result under each person" not in page
        assert "checked" not in page
    assert "Still missing: Bob" in client.get(link("Ada")).text


def test_answers_that_are_in_cannot_be_changed(client, link):
    hand_in(client, link("Ada"), ADA)
    again = client.post(link("Ada"), data={"shown": "consumers", "choice.consumers": "one"})
    assert again.location == link("Ada")
    assert "cannot be changed any more" in client.get(again.location).text


def test_after_the_reveal_everybody_sees_what_differs(client, link, both):
    for path in (link(), link("Ada"), link("Bob")):
        page = " ".join(html.unescape(client.get(path).text).split())
        assert "They differ on 2 questions; 1 of these decides something." in page
        assert "<strong>It decides:</strong>" in page and "How many independent consumers" in page
        assert '<tr class="heat__said"> <th scope="row">six or more</th>' in page
        assert "1 difference that changes nothing" in page
    assert "/settle" in client.get(link()).text
    assert "/settle" not in client.get(link("Ada")).text


def settle(client, link, **data):
    form = {"question": "consumers", "value": "three-to-five", "note": "Counted together", **data}
    return client.post(link() + "/settle", data=form)


def test_the_facilitator_settles_with_a_note(client, link, both):
    assert settle(client, link).location == link() + "#q-consumers"
    page = html.unescape(client.get(link()).text)
    assert "Settled: three to five." in page
    text = re.search(r'name="answers" value="(.*?)">', page, re.S)[1]
    agreed = parse_answers(MODEL, json.loads(text))
    assert agreed.title == "Order flow"
    assert agreed.given["consumers"].note == "Counted together"
    assert agreed.given["replay"].level == 2
    assert agreed.given["latency"].not_sure
    result = client.post("/guide/result", data={"answers": text, "consulted": "Ada, Bob"}).text
    assert "Counted together" in result and 'value="Ada, Bob"' in result


def test_it_can_be_settled_that_a_question_does_not_apply(client, link, both):
    assert settle(client, link, value="does not apply: out-of-scope").status_code == 302
    page = html.unescape(client.get(link()).text)
    assert "Settled: does not apply, because it is out of scope." in page
    assert '<option value="does not apply: out-of-scope" selected>' in page
    text = re.search(r'name="answers" value="(.*?)">', page, re.S)[1]
    given = parse_answers(MODEL, json.loads(text)).given["consumers"]
    assert (given.reason, given.note) == ("out-of-scope", "Counted together")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"note": " "}, "Say why, for the record."),
        ({"value": ""}, "Choose an answer."),
        ({"question": "replay"}, "On this question everybody agrees."),
        ({"question": "nobody"}, "On this question everybody agrees."),
    ],
)
def test_what_cannot_be_settled_says_why(client, link, both, change, problem):
    assert settle(client, link, **change).location == link()
    assert problem in client.get(link()).text


def test_only_answers_can_settle(client, link, both):
    assert settle(client, link, value="lots").status_code == 400
    assert settle(client, link, value="does not apply: lazy").status_code == 400


def test_nothing_is_settled_before_the_reveal(client, link):
    settle(client, link)
    assert "Not everybody has answered yet." in client.get(link()).text


def test_one_more_can_be_asked_until_the_reveal(client, link, both):
    client.post(link() + "/raters", data={"name": "Cleo"})
    page = client.get(link()).text
    assert "nobody can join any more" in page and "2 people answered" in page


def remove(client, link, assessment, name: str) -> str:
    rater = next(r for r in assessment.raters if r.name == name)
    client.post(f"{link()}/raters/{rater.id}/remove")
    return client.get(link()).text


def test_who_does_not_answer_can_be_left_out(client, link, session, assessment):
    assert "At least 2 people must answer." in remove(client, link, assessment, "Bob")
    client.post(link() + "/raters", data={"name": "Cleo"})
    session.refresh(assessment)
    hand_in(client, link("Ada"), ADA)
    hand_in(client, link("Cleo"), BOB)
    session.expire_all()
    assert "stays part of the assessment" in remove(client, link, assessment, "Ada")
    gone = link("Bob")
    assert "2 people answered" in remove(client, link, assessment, "Bob")
    assert client.get(gone).status_code == 404
    late = hand_in(client, gone, {"replay": "none"})
    assert late.status_code == 404
    assert "you are not asked any more" in " ".join(late.text.split())
    assert 'name="choice.replay" value="none"' in late.text  # to go on with alone


def test_an_assessment_is_made_once_and_deleted_with_all_answers(logged_in, session):
    form = {"title": "Shop", "raters": "Ada\nBob", "key": "0123456789abcdef01234567"}
    paths = {logged_in.post("/guide/team", data=form).location for _ in range(2)}
    assert len(paths) == 1 and session.scalar(select(func.count()).select_from(Rater)) == 2
    delete = paths.pop() + "/delete"
    assert "The answers of 2 people are deleted" in logged_in.get(delete).text
    assert session.scalar(select(func.count()).select_from(Rater)) == 2
    assert logged_in.post(delete).location == "/guide/team"
    assert session.scalar(select(func.count()).select_from(Rater)) == 0
    assert logged_in.get(delete).status_code == 404


def test_who_has_only_the_link_deletes_nothing(client, link):
    assert "/delete" not in client.get(link()).text
    assert client.post(link() + "/delete").location.startswith("/login")
    assert client.get(link()).status_code == 200


def test_the_same_name_twice_is_refused(client, link):
    client.post(link() + "/raters", data={"name": "Ada"})
    assert "Ada is asked already." in client.get(link()).text


def test_an_old_assessment_goes_with_what_was_answered(client, link, both, session, assessment):
    retention.erase_old(session)
    assert session.scalar(select(func.count()).select_from(Rater)) == 2
    assessment.created_at = utc_now() - timedelta(days=retention.RETENTION_DAYS + 1)
    session.flush()
    retention.erase_old(session)
    assert session.scalar(select(func.count()).select_from(Rater)) == 0
