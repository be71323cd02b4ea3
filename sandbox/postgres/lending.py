"""Databases lent to candidates' programs: one for each scenario, with a role of the same name."""

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from sandbox.postgres.database_server import DatabaseServer

DOOR_PORT = 5432  # of the door inside a box: where programs believe the database to be
SIZE_LIMIT_MB = 256  # of a lent database; an empty one has 8
WATCH_S = 1.0  # between two looks at that
CONNECTIONS = 64  # of a program


@dataclass(frozen=True)
class Database:
    """A database lent to one run of a candidate's program.

    name, role: the same text; the role may log in and use what the schema grants, and make tables
        of its own in schema public. It owns neither the database nor the schema's tables.
    address: where the gateway finds the server. url_in_box: what the program gets.
    full: set once its data outgrew SIZE_LIMIT_MB; the program has been locked out then.
    admin_dsn: our own superuser connection. Programs may put functions and operators into schema
        public, so use it with `search_path` set to pg_catalog and names written with their schema.
    """

    name: str
    role: str
    password: str
    address: tuple[str, int]
    url_in_box: str
    admin_dsn: str
    full: asyncio.Event


@contextlib.asynccontextmanager
async def lend_database(server: DatabaseServer, schema_sql: str) -> AsyncIterator[Database]:
    """Lend a fresh database of `server` with `schema_sql` in it; it is dropped afterwards.

    `schema_sql` runs as an owner role that nobody can log in as; in it, `:program` stands for the
    program's role. Raises psycopg.Error when `schema_sql` is wrong, or the server is gone.
    """
    name, password = f"run_{secrets.token_hex(6)}", secrets.token_urlsafe(18)
    try:
        await _create(server, name, password)
        async with await server.connect(name) as connection:
            await connection.execute(_schema(name, schema_sql))
        lent = Database(
            name=name,
            role=name,
            password=password,
            address=server.address,
            url_in_box=f"postgresql://{name}:{password}@127.0.0.1:{DOOR_PORT}/{name}",
            admin_dsn=server.admin_dsn(name),
            full=asyncio.Event(),
        )
        async with _watched(server, lent):
            yield lent
    finally:
        # A database that cannot be dropped goes with its server.
        with contextlib.suppress(psycopg.OperationalError):
            await _drop(server, name)


async def _create(server: DatabaseServer, name: str, password: str) -> None:
    """Make the database `name` and its two roles.

    Limits that a role could lift for itself (statement_timeout, work_mem) are not here: the
    grader's wall clock holds instead.
    """
    roles = sql.SQL(
        "CREATE ROLE {owner} NOLOGIN;"
        "CREATE ROLE {role} LOGIN PASSWORD {password} CONNECTION LIMIT {connections};"
        "ALTER ROLE {role} SET temp_file_limit = '32MB'"
    )
    grants = sql.SQL(
        "REVOKE ALL ON DATABASE {role} FROM PUBLIC;"
        "GRANT CONNECT, TEMPORARY ON DATABASE {role} TO {role}"
    )
    names = {"owner": sql.Identifier(f"{name}_owner"), "role": sql.Identifier(name)}
    async with await server.connect() as connection:
        await connection.execute(
            roles.format(
                **names, password=sql.Literal(password), connections=sql.Literal(CONNECTIONS)
            )
        )
        await server.create_database(name, owner=f"{name}_owner")
        await connection.execute(grants.format(**names))


def _schema(name: str, schema_sql: str) -> str:
    """Return what fills a new database: the program's rights, then `schema_sql` as its owner."""
    return f"SET ROLE {name}_owner; GRANT USAGE, CREATE ON SCHEMA public TO {name};\n" + re.sub(
        r"(?<!:):program\b", name, schema_sql
    )


@contextlib.asynccontextmanager
async def _watched(server: DatabaseServer, lent: Database) -> AsyncIterator[None]:
    """Lock the program out of `lent` once its data is too large: PostgreSQL has no such limit."""
    watch = asyncio.create_task(_lock_out_when_full(server, lent))
    try:
        yield
    finally:
        watch.cancel()
        # However it ends: a server that is gone shows elsewhere.
        await asyncio.gather(watch, return_exceptions=True)


async def _lock_out_when_full(server: DatabaseServer, lent: Database) -> None:
    lock_out = sql.SQL(
        "ALTER ROLE {role} NOLOGIN;"
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {name}"
    ).format(role=sql.Identifier(lent.role), name=sql.Literal(lent.role))
    async with await server.connect() as connection:
        while await _size_mb(connection, lent.name) <= SIZE_LIMIT_MB:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(WATCH_S)
        await connection.execute(lock_out)
    lent.full.set()


async def _size_mb(connection: psycopg.AsyncConnection, database: str) -> int:
    size = await connection.execute("SELECT pg_database_size(%s) >> 20", [database])
    row = await size.fetchone()
    assert row
    return row[0]


async def _drop(server: DatabaseServer, name: str) -> None:
    await server.drop_database(name)
    async with await server.connect() as connection:
        for role in (name, f"{name}_owner"):
            await connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
