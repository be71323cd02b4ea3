"""Invites: one use, one browser, and a way on from another one."""

from datetime import timedelta

from sqlalchemy import select, update

from sandbox.runtimes import LANGUAGES, available, java
from webapp.db import utc_now
from webapp.invites.models import Invite
from webapp.workspace.models import Attempt

FORM = {"name": "Ada Lovelace", "accept": "y"}


def test_looking_at_an_invite_does_not_use_it(client, invite, session):
    link = invite()
    assert client.get(link).status_code == 200
    assert client.get(link).status_code == 200
    assert session.scalar(select(Invite.used_at)) is None


def test_accepting_begins_an_attempt_in_this_browser(client, invite, session):
    answer = client.post(invite(), data=FORM)
    attempt = session.scalars(select(Attempt)).one()
    assert answer.location == f"/attempts/{attempt.id}"
    assert (attempt.candidate_name, attempt.deadline) == ("Ada Lovelace", None)
    assert client.get(answer.location).status_code == 200


def test_the_project_begins_in_the_chosen_language(client, invite, session):
    link = invite()
    assert client.get(link).text.count("<option") == len(available(LANGUAGES))
    client.post(link, data={**FORM, "language": "node"})
    (attempt,) = session.scalars(select(Attempt))
    assert attempt.language == "node"
    assert "main.js" in attempt.workspace.files


def test_a_language_that_the_machine_lacks_is_not_offered(client, invite, session, monkeypatch):
    monkeypatch.setattr(java, "find_jdk", lambda: None)
    link = invite()
    page = client.get(link).text
    assert 'value="node"' in page and 'value="java"' not in page
    assert "Not a valid choice" in client.post(link, data={**FORM, "language": "java"}).text


def test_an_unknown_language_is_refused(client, invite, session):
    answer = client.post(invite(), data={**FORM, "language": "cobol"})
    assert "Not a valid choice" in answer.text
    assert session.scalars(select(Attempt)).all() == []


def test_a_time_limit_begins_with_acceptance(client, invite, session):
    client.post(invite(minutes=90), data=FORM)
    attempt = session.scalars(select(Attempt)).one()
    assert timedelta(minutes=89) < attempt.deadline - utc_now() <= timedelta(minutes=90)


def test_the_same_browser_goes_on_with_the_same_link(client, invite):
    link = invite()
    workspace = client.post(link, data=FORM).location
    assert client.get(link).location == workspace


def test_another_browser_is_told_what_to_do(app, client, invite, session):
    link = invite()
    client.post(link, data=FORM)
    other = app.test_client()
    for answer in (other.get(link), other.post(link, data=FORM)):
        assert answer.status_code == 410
        assert "link to resume" in answer.text
    assert len(session.scalars(select(Attempt)).all()) == 1


def test_an_expired_invite_says_so(client, invite, session):
    link = invite()
    session.execute(update(Invite).values(expires_at=utc_now()))
    session.commit()
    answer = client.post(link, data=FORM)
    assert (answer.status_code, "expired" in answer.text) == (410, True)


def test_an_unknown_invite_says_so(client):
    answer = client.get("/invites/nonsense")
    assert (answer.status_code, "not valid" in answer.text) == (404, True)


def test_without_a_name_the_form_comes_back(client, invite, session):
    answer = client.post(invite(), data={"accept": "y", "name": " "})
    assert (answer.status_code, "Enter your name" in answer.text) == (200, True)
    assert session.scalar(select(Invite.used_at)) is None


def test_a_link_to_resume_opens_the_attempt_in_another_browser(app, world):
    page = world.interviewer.post(f"/interviews/attempts/{world.attempt_a}/resume")
    link = "/invites/" + page.text.partition("/invites/")[2][:43]
    other = app.test_client()
    assert other.post(link, data=FORM).location == f"/attempts/{world.attempt_a}"
    assert other.get(f"/attempts/{world.attempt_a}").status_code == 200
    assert app.test_client().get(link).status_code == 410


def test_only_the_hash_of_a_token_is_stored(invite, session):
    token = invite().rpartition("/")[2].encode()
    stored = session.scalar(select(Invite.token_hash))
    assert len(stored) == 32
    assert token not in stored
