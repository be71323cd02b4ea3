"""Milestones stay as they were, and tell apart what answers and what the model changed."""

import json

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from decision_guide import evaluate, parse_answers
from webapp.guide import decision_models
from webapp.guide.milestones.models import Milestone

MODEL = decision_models.base()
FIRST = {"consumers": 4, "replay": "months", "history": "audit-log"}
LATER = {**FIRST, "history": "reconstruct", "experience": "production"}


def keep(client, name: str, answers=FIRST, title: str = "Shop"):
    document = json.dumps({"title": title, "answers": answers})
    return client.post("/guide/milestones", data={"name": name, "answers": document})


def test_a_milestone_holds_the_result_with_its_model(logged_in, session):
    kept = keep(logged_in, "Review of May")
    assert kept.status_code == 303
    page = logged_in.get(kept.location).text
    assert "Review of May" in page and MODEL.hash in page
    assert "The same answers still lead to the same six decisions." in page
    found = logged_in.get(kept.location + "/result.json").json
    answers = parse_answers(MODEL, {"title": "Shop", "answers": FIRST})
    assert found == json.loads(json.dumps(evaluate(MODEL, answers).to_json()))


def test_a_milestone_is_never_changed(logged_in, session):
    keep(logged_in, "Review")
    with pytest.raises(DBAPIError, match="a milestone is never changed"), session.begin_nested():
        session.execute(text("UPDATE guide_milestone SET name = 'Better'"))


def test_a_name_counts_once_for_a_title(logged_in):
    keep(logged_in, "Review")
    again = keep(logged_in, "Review", LATER)
    assert (again.status_code, "has a milestone" in again.text) == (400, True)
    assert keep(logged_in, "Review", title="Other").status_code == 303


def test_the_same_milestone_twice_is_one(logged_in):
    assert keep(logged_in, "Review").location == keep(logged_in, "Review").location


def test_a_milestone_is_deleted_as_a_whole_and_only_on_purpose(logged_in, client, session):
    path = keep(logged_in, "Review").location
    assert "Delete the milestone Review?" in logged_in.get(path + "/delete").text
    assert client.post(path + "/delete").location.startswith("/login")
    assert logged_in.get(path).status_code == 200
    assert logged_in.post(path + "/delete").location == "/guide/milestones"
    assert logged_in.get(path).status_code == 404
    assert session.query(Milestone).count() == 0


def test_a_milestone_needs_a_name(logged_in):
    answer = keep(logged_in, " ")
    assert (answer.status_code, "Give it a name." in answer.text) == (400, True)


def test_the_list_has_every_milestone(logged_in):
    assert "No milestone yet" in logged_in.get("/guide/milestones").text
    paths = [keep(logged_in, name).location for name in ("One", "Two")]
    page = logged_in.get("/guide/milestones").text
    assert all(f'href="{path}"' in page for path in paths)


def test_what_changed_since_because_of_answers_and_because_of_the_model(logged_in, session):
    answers = parse_answers(MODEL, {"title": "Shop", "answers": FIRST})
    old = json.loads(json.dumps(evaluate(MODEL, answers, draws=100).to_json()))
    old["model"] |= {"version": "0.9.0"}
    old["decisions"][0]["recommended"] = "monolith"
    keep(logged_in, "Now", LATER)
    now = session.query(Milestone).filter_by(name="Now").one()
    then = Milestone(
        title="Shop", name="Then", document=old, created_by=now.created_by,
        created_at=now.created_at.replace(year=2025),
    )  # fmt: skip
    session.add(then)
    session.commit()
    page = logged_in.get(f"/guide/milestones/{then.id}?against={now.id}").text
    page = " ".join(page.split())
    assert "eda-fit@0.9.0" in page
    model, _, answered = page.partition("Because the answers changed")
    assert "Topology: Monolith → <strong>Modular monolith</strong>" in model
    assert "Event sourcing</strong>" in answered
    assert f'<option value="{now.id}" selected>Now</option>' in page


def test_the_button_is_there_for_interviewers_alone(logged_in, client):
    data = {"answers": json.dumps({"answers": FIRST})}
    assert "Keep the milestone" in logged_in.post("/guide/result", data=data).text
    assert "Keep the milestone" not in client.post("/guide/result", data=data).text
