"""The interviewers' list and pages."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from webapp.db import utc_now
from webapp.grading import leases
from webapp.interviews import services
from webapp.interviews.services import Filters, Stage
from webapp.invites.models import Invite

FORM = {
    "candidate_name": "Grace Hopper",
    "candidate_email": "grace@example.org",
    "challenge": "idempotent_consumer",
    "expires_days": "7",
    "minutes": "",
}


def stages(session, **filters):
    rows, _ = services.candidates(session, Filters(**filters), 1)
    return {row.candidate_name: row.state for row in rows}


def test_an_invite_is_made_and_its_link_shown_once(world, app):
    page = world.interviewer.post("/interviews/invites/new", data=FORM)
    link = "/invites/" + page.text.partition("/invites/")[2][:43]
    assert app.test_client().get(link).status_code == 200
    assert link not in world.interviewer.get("/interviews").text


def test_a_challenge_can_be_chosen_by_the_link(world):
    page = world.interviewer.get("/interviews/invites/new?challenge=idempotent_consumer")
    assert '<option selected value="idempotent_consumer">' in page.text
    assert world.interviewer.get("/interviews/invites/new?challenge=nonsense").status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"candidate_name": "  "},
        {"candidate_email": ""},
        {"challenge": "../etc"},
        {"expires_days": "0"},
        {"expires_days": "x"},
        {"minutes": "1"},
    ],
)
def test_a_wrong_form_makes_no_invite(world, session, wrong):
    before = stages(session)
    answer = world.interviewer.post("/interviews/invites/new", data=FORM | wrong)
    assert answer.status_code == 200
    assert stages(session) == before


def test_every_stage_is_told(world, session, invite):
    invite(candidate_name="Waiting")
    invite(candidate_name="Late", expires_days=0)
    assert stages(session) == {
        "Ada": Stage.STARTED,
        "Bob": Stage.STARTED,
        "Waiting": Stage.INVITED,
        "Late": Stage.EXPIRED,
    }
    run_id = world.run("submit")["run"]["id"]
    assert stages(session)["Ada"] == Stage.JUDGING
    lease = leases.claim(session, run_id, "w")
    leases.record(session, lease, {"verdict": "FAIL", "score": 0.25, "checks": []}, "h")
    session.commit()
    rows, _ = services.candidates(session, Filters(sort="score"), 1)
    ada = rows[0]
    assert (ada.candidate_name, ada.state, ada.verdict, ada.score) == (
        "Ada",
        Stage.GRADED,
        "FAIL",
        0.25,
    )
    assert services.counts(session) == {
        "invited": 1,
        "expired": 1,
        "started": 1,
        "judging": 0,
        "graded": 1,
        "not_graded": 0,
    }


def test_a_visible_run_is_no_submission(world, judged, session):
    assert stages(session)["Ada"] == Stage.STARTED


def test_what_we_could_not_grade_is_told_as_that(world, session):
    run_id = world.run("submit")["run"]["id"]
    for _ in range(leases.MAX_TRIES):
        leases.fail(session, leases.claim(session, run_id, "w"), "no broker")
    session.commit()
    assert stages(session)["Ada"] == Stage.NOT_GRADED
    assert "not your fault" in world.a.get(f"/runs/{run_id}/report").text


def test_filters_narrow_the_list(world, session, invite):
    invite(candidate_name="100%_sure")
    assert set(stages(session, q="100%_")) == {"100%_sure"}
    assert set(stages(session, q="ADA@example.org")) == {"Ada", "Bob", "100%_sure"}
    assert set(stages(session, state="invited")) == {"100%_sure"}
    assert set(stages(session, challenge="nothing")) == set()


@pytest.mark.parametrize("sort", ["newest", "oldest", "name", "score", "nonsense"])
def test_pages_hold_everybody_once(world, session, invite, sort, monkeypatch):
    monkeypatch.setattr(services, "PAGE_SIZE", 2)
    for number in range(5):
        invite(candidate_name=f"Candidate {number % 2}")
    seen = []
    for number in (1, 2, 3, 4):
        rows, _page = services.candidates(session, Filters(sort=sort), number)
        seen += [row.invite_id for row in rows]
    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize(("asked", "got"), [(-3, 1), (0, 1), (1, 1), (10**9, 1)])
def test_a_page_that_is_not_there(world, session, asked, got):
    _, page = services.candidates(session, Filters(), asked)
    assert page.number == got


def test_a_link_to_resume_is_no_candidate(world, session):
    before = stages(session)
    world.interviewer.post(f"/interviews/attempts/{world.attempt_a}/resume")
    assert stages(session) == before


def test_the_attempt_page_shows_what_was_kept(world):
    path = f"/attempts/{world.attempt_a}/files"
    world.a.put(path, json={"files": {"main.py": "print(42)"}, "base": 1})
    world.a.put(path, json={"files": {"main.py": "other"}, "base": 1})
    page = world.interviewer.get(f"/interviews/attempts/{world.attempt_a}")
    assert page.status_code == 200
    assert "42" in page.text


def test_hostile_names_are_shown_as_text(world, session):
    name = "<script>alert(1)</script>\x00\x1b[31m\u202e"
    world.interviewer.post("/interviews/invites/new", data=FORM | {"candidate_name": name})
    page = world.interviewer.get("/interviews").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; [31m" in page


def test_an_expired_invite_that_was_used_is_an_attempt(world, session):
    session.execute(update(Invite).values(expires_at=utc_now() - timedelta(days=1)))
    session.commit()
    assert set(stages(session).values()) == {Stage.STARTED}
