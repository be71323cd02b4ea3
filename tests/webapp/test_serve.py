"""The parts of `serve` that need no served platform."""

import asyncio
import os
import socket

import psycopg
import pytest
from sqlalchemy import select

from sandbox.process import SandboxError
from webapp import demo, serve, supervisor
from webapp.accounts.services import authenticate, disable
from webapp.embedded import provide_database, stored_secret
from webapp.invites.models import Invite
from webapp.network import authority


def test_a_taken_port_is_named_with_a_way_out():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SandboxError, match=rf"{port}.*\n.*--port {port + 1}"):
            serve.check_machine("127.0.0.1", port)


def test_addresses_are_written_as_in_urls():
    assert authority("127.0.0.1", 80) == "127.0.0.1:80"
    assert authority("::1", 80) == "[::1]:80"


def test_a_secret_is_made_once_and_is_for_our_eyes(monkeypatch, tmp_path):
    monkeypatch.setenv("OFFSETZERO_STATE", str(tmp_path))
    secret = stored_secret("key")
    assert len(secret) >= 32
    assert stored_secret("key") == secret
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_the_platforms_role_is_an_ordinary_one(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("OFFSETZERO_STATE", str(tmp_path))
    address = provide_database(cluster)
    assert provide_database(cluster) == address
    with psycopg.connect(address) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = user"
        ).fetchone()
    assert row == (False, False, False)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address, dbname="postgres")


def test_the_first_start_shows_a_password_later_ones_do_not(session):
    first, second = demo.make(session), demo.make(session)
    assert authenticate(session, first.email, first.password, "here")
    assert second.password is None
    assert first.invite_path != second.invite_path
    assert len(session.scalars(select(Invite)).all()) == 1


def test_without_the_demo_interviewer_there_is_no_demo(session):
    disable(session, demo.make(session).email)
    assert demo.make(session) is None


async def test_what_ends_is_started_again(monkeypatch):
    """A worker without its database ends at once; the pauses grow."""
    monkeypatch.setattr(supervisor, "SHORTEST_PAUSE_S", 0.01)
    said, thrice = [], asyncio.Event()

    def say(text):
        said.append(text)
        if len(said) == 3:
            thrice.set()

    running = asyncio.create_task(
        supervisor.keep_running("web server", ["web"], {"DATABASE_URL": ""}, say)
    )
    await asyncio.wait_for(thrice.wait(), 60)
    running.cancel()
    assert said[0].startswith("The web server ended (code 2)")


async def test_a_process_that_does_not_stop_is_ended(monkeypatch):
    monkeypatch.setattr(supervisor, "STOP_PATIENCE_S", 0.1)
    stubborn = await asyncio.create_subprocess_exec(
        *("sh", "-c", "trap '' TERM; echo ready; while :; do read x; done"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    await stubborn.stdout.readline()
    await supervisor.stop(stubborn)
    assert stubborn.returncode == -9
    with pytest.raises(ProcessLookupError):
        os.kill(stubborn.pid, 0)
