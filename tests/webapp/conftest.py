"""A real PostgreSQL for the session; what a test wrote is undone.

`client` tests see one transaction that is rolled back. Tests about concurrency use `database`, a
fresh database of their own with real commits.
"""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session, sessionmaker

from challenges import catalogue
from graders.report import refused
from sandbox.postgres import Cluster
from sandbox.setup import prepare
from tests.states import new_state
from webapp import create_app, db, migrate
from webapp.accounts.models import Interviewer
from webapp.accounts.services import HASHER, set_password
from webapp.config import Config
from webapp.grading import leases
from webapp.invites import services as invites
from webapp.invites.models import Invite
from webapp.sessions import new_token

TEMPLATE = "template_platform"
SECRET_KEY = "not secret: only for tests, thirty-two characters"
PASSWORD = "correct horse battery staple"
CHALLENGE = "idempotent_consumer"
INVITE = {
    "challenge": CHALLENGE,
    "candidate_name": "Ada",
    "candidate_email": "ada@example.org",
    "expires_days": 14,
}


@dataclass
class World:
    """An interviewer and two candidates with an attempt each, all in browsers of their own."""

    interviewer: FlaskClient
    anonymous: FlaskClient
    a: FlaskClient
    b: FlaskClient
    attempt_a: str
    attempt_b: str

    def run(self, kind: str = "run", files: dict[str, str] | None = None) -> dict[str, Any]:
        """Candidate A starts a run; returns the answer's JSON."""
        revision = 1
        if files is not None:
            saved = self.a.put(
                f"/attempts/{self.attempt_a}/files", json={"files": files, "base": 1}
            )
            revision = saved.json["revision"]
        answer = self.a.post(
            f"/attempts/{self.attempt_a}/runs", json={"kind": kind, "revision": revision}
        )
        assert answer.status_code == 201, answer.text
        return answer.json


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A platform cluster of this test session alone."""
    with new_state():
        asyncio.run(prepare(print))
        cluster = Cluster.platform()
        asyncio.run(cluster.start())
        yield cluster
        asyncio.run(cluster.stop())


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> str:
    """The name of a database with the schema and no rows."""
    asyncio.run(cluster.create_database(TEMPLATE))
    engine = db.make_engine(cluster.admin_dsn(TEMPLATE))
    migrate.upgrade(engine)
    engine.dispose()
    return TEMPLATE


@pytest.fixture
def database(cluster: Cluster, template: str) -> Iterator[str]:
    """The address of a fresh database with the schema."""
    name = f"test_{secrets.token_hex(4)}"
    with psycopg.connect(cluster.admin_dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield cluster.admin_dsn(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def shared_app(cluster: Cluster, template: str) -> Iterator[Flask]:
    asyncio.run(cluster.create_database("shared"))
    dsn = cluster.admin_dsn("shared")
    migrate.upgrade(db.make_engine(dsn))
    app = create_app(Config(database_url=dsn, secret_key=SECRET_KEY))
    app.config["WTF_CSRF_ENABLED"] = False  # test_security.py turns it on
    yield app
    app.extensions["hub"].close()


@pytest.fixture
def connection(shared_app: Flask) -> Iterator[Connection]:
    engine = shared_app.extensions["sessions"].kw["bind"]
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


@pytest.fixture
def app(shared_app: Flask, connection: Connection) -> Iterator[Flask]:
    """The application, whose commits are savepoints of a transaction that is rolled back."""
    outside = shared_app.extensions["sessions"]
    shared_app.extensions["sessions"] = sessionmaker(
        connection, join_transaction_mode="create_savepoint", expire_on_commit=False
    )
    yield shared_app
    shared_app.extensions["sessions"] = outside


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:
    with app.extensions["sessions"]() as session:
        yield session


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def interviewer(session: Session) -> Interviewer:
    interviewer = Interviewer(
        email="ines@example.org", name="Ines", password_hash=HASHER.hash(PASSWORD)
    )
    session.add(interviewer)
    session.commit()
    return interviewer


@pytest.fixture
def logged_in(app: Flask, interviewer: Interviewer) -> FlaskClient:
    """The interviewer's browser."""
    client = app.test_client()
    answer = client.post("/login", data={"email": interviewer.email, "password": PASSWORD})
    assert answer.location == "/interviews"
    return client


@pytest.fixture
def invite(session: Session, interviewer: Interviewer):
    """A function that makes an invite and returns the path of its link."""

    def make(**changes: Any) -> str:
        _, token = invites.create(session, interviewer, **(INVITE | changes))
        session.commit()
        return f"/invites/{token}"

    return make


def accept(app: Flask, link: str, name: str = "Ada") -> tuple[FlaskClient, str]:
    """Accept an invite in a new browser; returns it and the attempt's id."""
    browser = app.test_client()
    answer = browser.post(link, data={"name": name, "accept": "y"})
    assert answer.status_code == 302, answer.text
    return browser, answer.location.rpartition("/")[2]


@pytest.fixture
def world(app: Flask, logged_in: FlaskClient, invite) -> World:
    a, attempt_a = accept(app, invite())
    b, attempt_b = accept(app, invite(candidate_name="Bob"), "Bob")
    return World(logged_in, app.test_client(), a, b, attempt_a, attempt_b)


@pytest.fixture
def committed(database: str) -> Iterator["Committed"]:
    """An application on a database of its own, with an attempt in it; commits are real."""
    app = create_app(Config(database_url=database, secret_key=SECRET_KEY))
    app.config["WTF_CSRF_ENABLED"] = False
    sessions = app.extensions["sessions"]
    with sessions.begin() as db:
        interviewer, _ = set_password(db, "ines@example.org")
        _, token = invites.create(db, interviewer, **INVITE)
    browser, attempt = accept(app, f"/invites/{token}")
    yield Committed(app, browser, attempt, database)
    app.extensions["hub"].close()
    sessions.kw["bind"].dispose()


@dataclass
class Committed:
    """See the fixture `committed`."""

    app: Flask
    browser: FlaskClient
    attempt: str
    database: str

    @property
    def sessions(self) -> db.Sessions:
        return self.app.extensions["sessions"]

    def run(self, kind: str = "run") -> str:
        """Ask for a run; returns its id."""
        path = f"/attempts/{self.attempt}/runs"
        return self.browser.post(path, json={"kind": kind, "revision": 1}).json["run"]["id"]


@pytest.fixture
def link(session: Session, world: World) -> str:
    """The token of a used invite of candidate A."""
    token, hashed = new_token()
    invite = session.scalars(select(Invite).where(Invite.attempt_id == world.attempt_a)).one()
    invite.token_hash = hashed
    session.commit()
    return token


@pytest.fixture
def judged(session: Session, world: World) -> str:
    """The id of a run of candidate A that was judged."""
    run_id = world.run()["run"]["id"]
    lease = leases.claim(session, run_id, "test")
    report = refused(catalogue.load(CHALLENGE), 7, "process", ["main.py is missing"])
    assert leases.record(session, lease, dict(report.data), "somewhere")
    session.commit()
    return run_id
