"""Headers, cookies, CSRF, and requests from other sites."""

import re

import pytest

from webapp import create_app, db, security
from webapp.config import Config, ConfigError

PATHS = ["/", "/login", "/challenges", "/healthz", "/nowhere", "/invites/nonsense"]


@pytest.fixture
def guarded(app, monkeypatch):
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    return app.test_client()


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_headers(client, path):
    headers = client.get(path).headers
    assert {name: headers[name] for name in security.HEADERS} == security.HEADERS
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", PATHS)
def test_pages_obey_their_own_policy(client, path):
    """No inline script, style or handler: the policy would block it."""
    text = client.get(path).text
    assert not re.search(r"<script(?![^>]*(\bsrc=|type=.application/json))", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)


def test_the_policy_allows_our_own_files_only():
    rules = dict(rule.split(" ", 1) for rule in security.CONTENT_SECURITY_POLICY.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert set(" ".join(rules.values()).split()) == {"'self'", "'none'", "data:"}


def test_a_form_without_token_is_refused(guarded, interviewer):
    answer = guarded.post("/login", data={"email": "a@b.c", "password": "x"})
    assert (answer.status_code, "out of date" in answer.text) == (400, True)


def test_a_form_with_its_token_is_taken(guarded, interviewer):
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)', guarded.get("/login").text)[1]
    data = {"email": "nobody@example.org", "password": "x", "csrf_token": token}
    assert guarded.post("/login", data=data).status_code == 401


def test_a_script_sends_its_token_in_a_header(world, app, monkeypatch):
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    path, body = f"/attempts/{world.attempt_a}", {"files": {}, "base": 1}
    assert world.a.put(f"{path}/files", json=body).json["error"] == "csrf"
    token = re.search(r'"csrf": ?"([^"]+)', world.a.get(path).text)[1]
    answer = world.a.put(f"{path}/files", json=body, headers={"X-CSRFToken": token})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, False),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "http://localhost:81"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_a_change_must_come_from_our_own_pages(client, headers, allowed):
    answer = client.post("/logout", headers=headers)
    assert answer.status_code == (302 if allowed else 403)
    assert client.get("/login", headers=headers).status_code == 200


def test_cookies_on_plain_http(client, interviewer):
    answer = client.post(
        "/login", data={"email": interviewer.email, "password": "correct horse battery staple"}
    )
    for cookie in answer.headers.getlist("Set-Cookie"):
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie


def test_cookies_on_https_are_bound_to_the_host(database):
    secret = "x" * 32
    app = create_app(Config(database, secret, public_url="https://hiring.example.org"))
    answer = app.test_client().get("/login", base_url="https://hiring.example.org")
    for cookie in answer.headers.getlist("Set-Cookie"):
        assert cookie.startswith("__Host-")
        assert "; Secure" in cookie
        assert "; Path=/" in cookie
        assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DATABASE_URL": None}, "DATABASE_URL"),
        ({"OFFSETZERO_SECRET_KEY": "short"}, "openssl rand"),
        ({"OFFSETZERO_SECRET_KEY": None}, "openssl rand"),
        ({"OFFSETZERO_URL": "hiring.example.org"}, "https://"),
        ({"OFFSETZERO_URL": "https://example.org/path"}, "https://"),
        ({"OFFSETZERO_PROXIES": "yes"}, "number of proxies"),
    ],
)
def test_a_wrong_setting_is_named(changes, words):
    right = {"DATABASE_URL": "dbname=x", "OFFSETZERO_SECRET_KEY": "x" * 32}
    environ = {k: v for k, v in (right | changes).items() if v is not None}
    with pytest.raises(ConfigError, match=words):
        Config.from_env(environ)


def test_what_programs_print_can_be_stored():
    value = {"a\0": ["b\ud800", ("c\0",)], "n": 1, "t": None}
    assert db.storable(value) == {"a\ufffd": ["b?", ["c\ufffd"]], "n": 1, "t": None}


def test_versioned_files_are_kept_and_others_asked_for(client):
    assert "immutable" in client.get("/static/dist/site.css?v=1").headers["Cache-Control"]
    assert client.get("/static/dist/site.css").headers["Cache-Control"] == "no-cache"
