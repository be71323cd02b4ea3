"""The platform's database and secrets when `offsetzero serve` brings the server."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy.orm import Session

from sandbox.home import home
from sandbox.postgres import Cluster
from webapp import migrate
from webapp.db import make_engine, make_sessions

ROLE = "offsetzero"  # and database: the server lets a role into the database of its name


@contextmanager
def operator_session() -> Iterator[Session]:
    """A session for commands of the operator, who sits at the machine.

    It is on the database of DATABASE_URL, or else on the embedded one, whose server is started if
    need be (and left to run: `serve` may use it).
    """
    engine = make_engine(os.environ.get("DATABASE_URL") or _operator_url())
    migrate.upgrade(engine)
    with make_sessions(engine).begin() as db:
        yield db
    engine.dispose()


def provide_database(cluster: Cluster) -> str:
    """The address for the platform's processes; the database is made if it is not there."""
    password = stored_secret("database_password")
    role = sql.Identifier(ROLE)
    with psycopg.connect(cluster.admin_dsn(), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                sql.SQL("ALTER" if known else "CREATE"), role, sql.Literal(password)
            )
        )
        with contextlib.suppress(psycopg.errors.DuplicateDatabase):
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
    return make_conninfo(cluster.admin_dsn(ROLE), user=ROLE, password=password)


def stored_secret(name: str) -> str:
    """A random secret of this installation, made when first asked for."""
    file: Path = home().state / name
    with contextlib.suppress(FileExistsError):
        draft = file.with_name(f".{name}-{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as new:
            new.write(secrets.token_hex(32))
        try:
            os.link(draft, file)  # whole or not at all, and never over one that is there
        finally:
            draft.unlink()
    return file.read_text()


def _operator_url() -> str:
    cluster = Cluster.platform()
    asyncio.run(cluster.start())
    provide_database(cluster)
    return make_conninfo(cluster.admin_dsn(ROLE), options=f"-c role={ROLE}")
