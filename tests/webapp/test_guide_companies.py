"""The model editor: own weights by swing weighting, own knock-outs, and what lint says."""

import html
import json
import re

import pytest
from sqlalchemy import select

from decision_guide import evaluate, overlay, parse_answers
from webapp.guide import decision_models
from webapp.guide.companies import services
from webapp.guide.companies.models import Company

MODEL = decision_models.base()
READS = MODEL.decisions[MODEL.decision("reads")]
SWING = {c.id: ("100" if n == 0 else "10") for n, c in enumerate(READS.criteria)}
KNOCKOUT = {
    "title": "No lock-in",
    "when": ["operations=managed", "operations=nobody", "stage=growth"],
    "excludes": ["transport.queue"],
    "kind": "blocked",
    "mitigation": "Ask the board.",
    "why": "Policy 7.",
}


@pytest.fixture
def acme(logged_in, session) -> str:
    """The path of a new company's editing page."""
    made = logged_in.post("/guide/companies", data={"organisation": "Acme Ltd", "name": "acme"})
    assert made.status_code == 302, made.text
    return made.location


def company(session) -> Company:
    session.expire_all()
    return session.scalars(select(Company)).one()


def test_a_new_company_changes_nothing_yet(logged_in, acme, session):
    page = logged_in.get(acme).text
    assert "Acme Ltd" in page and "No faults" in page
    model = decision_models.with_overlay(company(session).overlay)
    assert model.id == "eda-fit+acme"
    assert model.decisions == MODEL.decisions


@pytest.mark.parametrize("name", ["Acme", "a b", "-a", "", "acme"])
def test_a_short_name_is_small_letters_and_its_own(logged_in, acme, name):
    page = logged_in.post("/guide/companies", data={"organisation": "Other", "name": name})
    assert page.status_code == 200
    assert "field__error" in page.text or "is taken" in page.text


def test_swing_points_become_weights(logged_in, acme, session):
    answer = logged_in.post(f"{acme}/weights/reads", data={**SWING, "own": "1"})
    assert answer.location == f"{acme}#reads"
    weights = {
        c.id: c.weight
        for c in decision_models.with_overlay(company(session).overlay)
        .decisions[MODEL.decision("reads")]
        .criteria
    }
    first, *others = [weights[c.id] for c in READS.criteria]
    assert all(first == pytest.approx(10 * other) for other in others)
    assert "own weights" in logged_in.get(acme).text
    logged_in.post(f"{acme}/weights/reads", data=SWING)
    assert company(session).overlay["weights"] == {}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"simplicity": "x"}, "Write a number"),
        ({"simplicity": "0"}, "$.weights.reads.swing.simplicity"),
        ({READS.criteria[0].id: "90"}, "must have 100 points"),
    ],
)
def test_points_that_do_not_fit_are_shown_again(logged_in, acme, session, change, problem):
    data = {**SWING, **change, "own": "1"}
    page = html.unescape(logged_in.post(f"{acme}/weights/reads", data=data).text)
    assert problem in page
    name, value = next(iter(change.items()))
    assert re.search(rf'name="{name}"\s+value="{value}"', page)
    assert "weights" not in company(session).overlay


def test_there_are_no_weights_of_no_decision(logged_in, acme):
    assert logged_in.post(f"{acme}/weights/nothing", data={}).status_code == 404


def test_an_own_knockout_rules_out(logged_in, acme, session):
    logged_in.post(f"{acme}/knockouts", data=KNOCKOUT)
    own = company(session).overlay["knockouts"]
    assert own[0]["id"] == "OWN1"
    assert own[0]["when"] == [{"operations": ["managed", "nobody"], "stage": ["growth"]}]
    page = " ".join(html.unescape(logged_in.get(acme).text).split())
    assert "OWN1. No lock-in. Policy 7." in page
    data = {
        "company": company(session).id,
        "answers": json.dumps({"answers": {"operations": "managed", "stage": "growth"}}),
    }
    result = html.unescape(logged_in.post("/guide/result", data=data).text)
    assert "OWN1. No lock-in." in result and "scored for Acme Ltd" in result
    logged_in.post(f"{acme}/knockouts/OWN1/remove")
    assert company(session).overlay["knockouts"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"when": []},
        {"excludes": ["transport.pigeon"]},
        {"mitigation": ""},
        {"kind": ""},
        {"why": ""},
    ],
)
def test_a_knockout_that_is_not_whole_is_shown_again(logged_in, acme, session, change):
    page = logged_in.post(f"{acme}/knockouts", data=KNOCKOUT | change)
    assert (page.status_code, "field__error" in page.text) == (200, True)
    assert "knockouts" not in company(session).overlay


def test_lint_shows_what_a_knockout_makes_impossible(logged_in, acme):
    never = {**KNOCKOUT, "when": ["steps=one", "compensation=undo"]}
    logged_in.post(f"{acme}/knockouts", data=never)
    page = logged_in.get(acme).text
    assert "fault" in page and "No faults" not in page


def test_whoever_has_the_link_scores_with_it(logged_in, client, acme, session):
    logged_in.post(f"{acme}/weights/reads", data={**SWING, "own": "1"})
    own = company(session)
    assert "Acme Ltd" in client.get(f"/guide?company={own.id}").text
    data = {"company": own.id, "answers": json.dumps({"answers": {"consumers": 4}})}
    live = client.post("/guide/strip", data=data).json
    assert live["permalink"].startswith("eda-fit+acme.")
    assert f"company={own.id}#eda-fit+acme." in client.post("/guide/result", data=data).text


def test_a_company_that_is_not_there_is_not_found(client):
    assert client.get("/guide?company=nobody").status_code == 404


def test_the_overlay_is_a_file_for_the_command_line(logged_in, acme):
    logged_in.post(f"{acme}/knockouts", data=KNOCKOUT)
    document = logged_in.get(f"{acme}/overlay.json").json
    model = overlay(MODEL, document)
    answers = parse_answers(model, {"answers": {"operations": "managed", "stage": "growth"}})
    fired = [k.id for k in evaluate(model, answers, draws=10).knockouts if k.state == "fires"]
    assert "OWN1" in fired


def test_an_overlay_made_for_an_older_guide_is_carried_over(acme, session):
    old = {**company(session).overlay, "base": "eda-fit@0.1.0"}
    assert decision_models.with_overlay(old).id == "eda-fit+acme"


def test_an_overlay_that_no_longer_fits_can_still_be_edited(logged_in, acme, session):
    own = company(session)
    own.overlay = {**own.overlay, "weights": {"reads": {"swing": {"gone": 100}}}}
    session.commit()
    page = html.unescape(logged_in.get(acme).text)
    assert "$.weights.reads" in page and "must name each criterion once" in page
    assert services.points_of(READS, own.overlay).keys() == {c.id for c in READS.criteria}


def test_the_guides_weights_as_swing_points():
    points = services.points_of(READS, {})
    assert max(points.values()) == 100 and min(points.values()) > 0


def test_a_button_pressed_twice_does_its_thing_once(logged_in, acme, session):
    again = logged_in.post("/guide/companies", data={"organisation": "Acme Ltd", "name": "acme"})
    assert again.location == acme
    for _ in range(2):
        logged_in.post(f"{acme}/knockouts", data=KNOCKOUT)
    assert len(company(session).overlay["knockouts"]) == 1


def test_a_model_is_deleted_once_nothing_uses_it(logged_in, acme, session):
    team = {"title": "Shop", "raters": "Ada\nBob", "company_id": acme.rpartition("/")[2]}
    made = logged_in.post("/guide/team", data=team).location
    assert "the team assessment 'Shop'" in html.unescape(logged_in.get(f"{acme}/delete").text)
    assert logged_in.post(f"{acme}/delete").status_code == 200
    assert logged_in.get(acme).status_code == 200
    logged_in.post(f"{made}/delete")
    assert logged_in.post(f"{acme}/delete").location == "/guide/companies"
    assert logged_in.get(acme).status_code == 404
    answer = logged_in.get("/guide", query_string={"company": team["company_id"]})
    assert (answer.status_code, "may have been deleted" in answer.text) == (404, True)
