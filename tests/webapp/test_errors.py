"""Errors: a page or JSON, nothing half written, and no second error on the way."""

import pytest
from sqlalchemy.exc import OperationalError

from webapp.catalogue import views


@pytest.fixture
def broken(monkeypatch):
    """A function that makes the page of the challenges fail."""

    def break_with(error: Exception) -> None:
        def fail():
            raise error

        monkeypatch.setattr(views, "all_challenges", fail)

    return break_with


def test_an_unknown_page(client):
    page = client.get("/nowhere")
    assert (page.status_code, page.mimetype) == (404, "text/html")


def test_a_program_gets_json(client):
    answer = client.get("/nowhere", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json["error"]) == (404, "not-found")
    assert answer.json["message"]
    assert answer.json["advice"]


def test_a_bug_is_our_fault_and_shows_no_insides(client, broken):
    broken(RuntimeError("secret detail"))
    page = client.get("/challenges")
    assert page.status_code == 500
    assert "not your fault" in page.text
    assert "secret detail" not in page.text


def test_an_absent_database_is_told_without_asking_it(client, broken):
    broken(OperationalError("SELECT", {}, Exception("gone")))
    page = client.get("/challenges")
    assert page.status_code == 503
    assert "few seconds" in page.text


def test_an_error_rolls_back(world, session, monkeypatch):
    from webapp.runs.models import Run
    from webapp.workspace import views as workspace_views

    def fail(_):
        raise RuntimeError

    monkeypatch.setattr(workspace_views, "as_json", fail)
    path = f"/attempts/{world.attempt_a}/runs"
    assert world.a.post(path, json={"kind": "run", "revision": 1}).status_code == 500
    assert session.query(Run).count() == 0
