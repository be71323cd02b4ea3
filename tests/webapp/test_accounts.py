"""Logging in and out."""

import pytest
from sqlalchemy import func, select, update

from webapp.accounts import services
from webapp.accounts.models import Interviewer
from webapp.accounts.views import own_path
from webapp.audit import AuditEvent, Tag
from webapp.db import utc_now
from webapp.sessions import BrowserSession

EMAIL, PASSWORD = "ines@example.org", "correct horse battery staple"


def log_in(client, email=EMAIL, password=PASSWORD):
    return client.post("/login", data={"email": email, "password": password})


def test_an_interviewer_logs_in_and_out(client, interviewer):
    assert log_in(client, email=" INES@example.org ").status_code == 302
    assert client.get("/interviews").status_code == 200
    client.post("/logout")
    assert client.get("/interviews").location.startswith("/login")


def test_a_stolen_cookie_ends_with_the_logout(app, client, interviewer):
    log_in(client)
    stolen = client.get_cookie("interviewer").value
    client.post("/logout")
    thief = app.test_client()
    thief.set_cookie("interviewer", stolen)
    assert thief.get("/interviews").status_code == 302


def test_unknown_and_wrong_get_the_same_answer(client, interviewer):
    wrong, unknown = log_in(client, password="wrong"), log_in(client, email="nobody@example.org")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace(EMAIL, "") == unknown.text.replace("nobody@example.org", "")


def test_after_five_failures_the_right_password_is_refused_too(client, interviewer, session):
    for _ in range(services.PER_ACCOUNT_AND_ADDRESS):
        assert log_in(client, password="wrong").status_code == 401
    answer = log_in(client)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    failures = select(func.count()).where(AuditEvent.tag == Tag.LOGIN_FAILED)
    assert session.scalar(failures) == services.PER_ACCOUNT_AND_ADDRESS


def test_failures_from_one_address_close_it_for_all_accounts(client, interviewer):
    for number in range(services.PER_ADDRESS):
        log_in(client, email=f"{number}@example.org")
    assert log_in(client).status_code == 429


def test_a_success_forgets_the_failures(client, interviewer):
    for _ in range(3):
        for _ in range(services.PER_ACCOUNT_AND_ADDRESS - 1):
            log_in(client, password="wrong")
        assert log_in(client).status_code == 302


def test_logging_in_again_is_a_new_session(client, interviewer, session):
    log_in(client)
    first = client.get_cookie("interviewer").value
    log_in(client)
    assert client.get_cookie("interviewer").value != first
    live = select(func.count()).where(BrowserSession.ended_at.is_(None))
    assert session.scalar(live) == 1


@pytest.mark.parametrize("column", ["idle_until", "expires_at"])
def test_a_session_ends_by_itself(client, interviewer, session, column):
    log_in(client)
    session.execute(update(BrowserSession).values({column: utc_now()}))
    session.commit()
    assert client.get("/interviews").status_code == 302


def test_a_new_password_ends_all_sessions(client, interviewer, session):
    log_in(client)
    _, password = services.set_password(session, EMAIL)
    session.commit()
    assert client.get("/interviews").status_code == 302
    assert log_in(client).status_code == 401
    assert log_in(client, password=password).status_code == 302


def test_a_disabled_account_is_closed_at_once(client, interviewer, session):
    log_in(client)
    assert services.disable(session, EMAIL)
    session.commit()
    assert client.get("/interviews").status_code == 302
    assert log_in(client).status_code == 401


def test_the_password_is_stored_as_argon2id(interviewer, session):
    assert session.scalar(select(Interviewer.password_hash)).startswith("$argon2id$")


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/interviews?page=2", True),
        ("//evil.example", False),
        ("/\\evil.example", False),
        ("https://evil.example", False),
        ("javascript:alert(1)", False),
        ("", False),
        (None, False),
    ],
)
def test_a_redirect_stays_with_us(target, kept):
    assert own_path(target) == (target if kept else None)
