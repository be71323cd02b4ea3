"""The embedded PostgreSQL clusters, and databases lent to candidates' programs.

Two clusters, so that a program never shares a server with scores: `platform` (Unix socket only) and
`programs` (also TCP on 127.0.0.1, for the gateway). The server outlives us on purpose: the next
process attaches to it. Whether it runs is judged by connecting, never by its pid file.
"""

import asyncio
import contextlib
import os
import pwd
import re
import secrets
import shlex
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from sandbox import assets
from sandbox.broker import free_ports
from sandbox.home import home, make_folder
from sandbox.process import (
    Identity,
    SandboxError,
    boot_id,
    exclusive,
    give_to_service,
    run,
)

DOOR_PORT = 5432  # of the door inside a box: where programs believe the database to be
START_TIMEOUT = 60.0
STATEMENT_TIMEOUT = 60.0  # of our own; one that drops a database waits for every session's consent
ATTEMPTS = 3
SIZE_LIMIT_MB = 256  # of a lent database; an empty one has 8
WATCH_S = 1.0  # between two looks at that
BACKEND_MB = 512  # of memory that one session of a lent database may use
SOCKET_PATH_LIMIT = 107  # bytes: sun_path of Linux

# `sameuser`: a role reaches only the database of its own name. Ourselves: by our system user.
HBA = """\
local all      postgres              peer map=platform
local sameuser all                   scram-sha-256
host  sameuser all      127.0.0.1/32 scram-sha-256
"""

# Read from a folder of our own: as root we write nothing where the server could have put a link.
SETTINGS = """\
data_directory = '{data}'
hba_file = '{folder}/pg_hba.conf'
ident_file = '{folder}/pg_ident.conf'
listen_addresses = '{listen}'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0777
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = 16MB
io_method = sync
max_wal_size = 256MB
jit = off
max_parallel_workers = 0
max_wal_senders = 0
wal_level = minimal
timezone = 'UTC'
lc_messages = 'C'
logging_collector = off
log_min_messages = fatal
log_min_error_statement = panic
log_checkpoints = off
log_autovacuum_min_duration = -1
"""

# The graders need the order of commits. The data is worthless after a crash of the machine, and
# then made anew, so nothing waits for the disk; a killed server alone loses nothing by this. Each
# instance may hold 20 connections, and several gradings play two scenarios of a few instances.
PROGRAMS_SETTINGS = """\
max_connections = 400
track_commit_timestamp = on
fsync = off
full_page_writes = off
"""


class Cluster:
    """One PostgreSQL server with its data folder.

    name: of its folder in the state; one server runs per name and state.
    disposable: listens on TCP too, keeps commit timestamps, and is made anew after a reboot.
    """

    def __init__(self, name: str, *, disposable: bool) -> None:
        self.name = name
        self.disposable = disposable
        self.folder = home().state / "postgres" / name
        self.data = self.folder / "data"
        self.sockets = self.folder / "run"
        self._port = 5432

    @classmethod
    def platform(cls) -> "Cluster":
        """Return the cluster of the platform's own data."""
        return cls("platform", disposable=False)

    @classmethod
    def programs(cls) -> "Cluster":
        """Return the cluster that lends databases to candidates' programs."""
        return cls("programs", disposable=True)

    @property
    def address(self) -> tuple[str, int]:
        """Where a disposable cluster listens for the gateway; known once it is started."""
        return ("127.0.0.1", self._port)

    def admin_dsn(self, database: str = "postgres") -> str:
        """Return how we connect as superuser, by Unix socket; valid while the server runs."""
        return f"host={self.sockets} port={self._port} user=postgres dbname={database}"

    async def start(self) -> None:
        """Attach to the running server, or make and start it; SandboxError when it does not start.

        Any number of processes may call this at once. Databases lent by dead processes are dropped.
        """
        self._check_socket_path()
        make_folder(self.folder)
        async with exclusive(self.folder / "lock"):
            if not await self.alive():
                await self._start()
        await drop_abandoned(self)

    async def stop(self) -> None:
        """Stop the server, ending its sessions; nothing to do when it does not run."""
        async with exclusive(self.folder / "lock"):
            if await self.alive():
                await self._pg_ctl("stop", "-m", "fast")

    async def alive(self) -> bool:
        """Tell whether the server accepts our connection."""
        self._read_port()
        try:
            async with asyncio.timeout(5), await self.connect():
                return True
        except (psycopg.OperationalError, TimeoutError):
            return False

    async def connect(self, database: str = "postgres") -> psycopg.AsyncConnection:
        """Return a new superuser connection in autocommit mode; a statement that takes over a
        minute ends in psycopg's QueryCanceled."""
        return await psycopg.AsyncConnection.connect(
            self.admin_dsn(database),
            autocommit=True,
            connect_timeout=5,
            options=f"-c statement_timeout={STATEMENT_TIMEOUT:g}s",
        )

    async def create_database(self, name: str, owner: str = "postgres") -> None:
        """Create the database `name`; psycopg's DuplicateDatabase when it is there."""
        async with await self.connect() as connection:
            await connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(owner)
                )
            )

    async def drop_database(self, name: str) -> None:
        """Drop the database `name` if it is there, ending its sessions."""
        async with await self.connect() as connection:
            await connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def _check_socket_path(self) -> None:
        longest = self.sockets / ".s.PGSQL.65535"
        if len(os.fsencode(longest)) > SOCKET_PATH_LIMIT:
            raise SandboxError(
                f"{longest} is longer than a Unix socket's name may be ({SOCKET_PATH_LIMIT} "
                "bytes). Set OFFSETZERO_STATE to a folder with a shorter path."
            )

    def _reboot_spoiled(self) -> bool:
        """Tell whether the machine was restarted since a disposable cluster was made."""
        made = self.folder / "boot"
        return (
            self.disposable
            and self.data.exists()
            and (not made.exists() or made.read_text() != boot_id())
        )

    async def _init(self) -> None:
        """Make the data folder; beside its place first, so a killed initdb leaves no half one."""
        draft = self.folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        give_to_service(draft)
        command: list[str | Path] = [
            _binary("initdb"),
            "-D",
            draft,
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--auth-local=peer", "--auth-host=reject"]
        await run(command, f"cannot make the database cluster {self.data}")
        (self.folder / "boot").write_text(boot_id())
        draft.rename(self.data)

    async def _start(self) -> None:
        if await self._comes_up_by_itself():
            return
        if self._reboot_spoiled():
            shutil.rmtree(self.data)
        if not self.data.exists():
            await self._init()
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(SandboxError):
                await self._start_once()
                return
            await asyncio.sleep(1)  # a port just taken, or children of a killed server still ending
        await self._start_once()

    async def _start_once(self) -> None:
        self._configure()
        log = self.data / "server.log"
        log.unlink(missing_ok=True)
        options = f"-c config_file={shlex.quote(str(self.folder / 'postgresql.conf'))}"
        try:
            await self._pg_ctl("start", "-l", log, "-o", options)
        except SandboxError as error:
            words = log.read_text(errors="replace")[-1500:].strip() if log.exists() else ""
            raise SandboxError(f"{error} {words}") from None

    async def _comes_up_by_itself(self) -> bool:
        """Remove a stale pid file; wait for a server that is there but still recovering."""
        pid = self._postmaster()
        if pid is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT):
                while Identity.of(pid).alive:
                    if await self.alive():
                        return True
                    await asyncio.sleep(0.1)
                return await self._comes_up_by_itself()
        raise SandboxError(
            f"The PostgreSQL server {pid} holds {self.data} but accepts no connection for "
            f"{START_TIMEOUT:.0f} s. Is it stopped or is the machine overloaded? Kill it and retry."
        )

    def _postmaster(self) -> int | None:
        """Return the process that serves this data folder, None when there is none.

        The pid file alone proves nothing: its number may belong to any process by now.
        """
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            served = Path(f"/proc/{pid}/cwd").readlink()
        except (OSError, ValueError, IndexError):
            return None
        return pid if served == self.data.resolve() else None

    def _read_port(self) -> None:
        """Take over the port of the running server, which it notes in its pid file."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            self._port = int((self.data / "postmaster.pid").read_text().splitlines()[3])

    def _configure(self) -> None:
        """Write the server's configuration, with a port that is free now."""
        if self.disposable:
            (self._port,) = free_ports(1)
        settings = SETTINGS.format(
            data=self.data,
            folder=self.folder,
            listen="127.0.0.1" if self.disposable else "",
            port=self._port,
            sockets=give_to_service(self.sockets, mode=0o755),
        )
        extra = PROGRAMS_SETTINGS if self.disposable else ""
        ourselves = pwd.getpwuid(os.geteuid()).pw_name
        (self.folder / "postgresql.conf").write_text(settings + extra)
        (self.folder / "pg_hba.conf").write_text(HBA)
        (self.folder / "pg_ident.conf").write_text(f"platform {ourselves} postgres\n")

    async def _pg_ctl(self, action: str, *arguments: str | Path) -> None:
        command = [_binary("pg_ctl"), "-D", self.data, "-w", "-t", "60", "-s", *arguments, action]
        if self.disposable:
            # No session of a program takes the machine's memory: each inherits this limit.
            command = ["sh", "-c", f'ulimit -d {BACKEND_MB << 10}; exec "$@"', "sh", *command]
        await run(command, f"cannot {action} the PostgreSQL server of {self.data}")


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
async def lend_database(cluster: Cluster, schema_sql: str) -> AsyncIterator[Database]:
    """Lend a fresh database of `cluster` with `schema_sql` in it; it is dropped afterwards.

    `schema_sql` runs as an owner role that nobody can log in as; in it, `:program` stands for the
    program's role. Raises psycopg.Error when `schema_sql` is wrong. A server that was killed is
    started again, before the database is made and before it is dropped.
    """
    name, password = f"run_{secrets.token_hex(6)}", secrets.token_urlsafe(18)
    try:
        if not await cluster.alive():
            await cluster.start()
        await _create(cluster, name, password)
        async with await cluster.connect(name) as connection:
            await connection.execute(_schema(name, schema_sql))
        lent = Database(
            name=name,
            role=name,
            password=password,
            address=cluster.address,
            url_in_box=f"postgresql://{name}:{password}@127.0.0.1:{DOOR_PORT}/{name}",
            admin_dsn=cluster.admin_dsn(name),
            full=asyncio.Event(),
        )
        async with _watched(cluster, lent):
            yield lent
    finally:
        try:
            await _drop(cluster, name)
        except psycopg.OperationalError:  # the server was killed meanwhile
            await cluster.start()
            await _drop(cluster, name)


async def _create(cluster: Cluster, name: str, password: str) -> None:
    """Make the database `name` and its two roles; the owner's comment says who lent it.

    Limits that a role could lift for itself (statement_timeout, work_mem) are not here: the
    grader's wall clock holds instead.
    """
    lender = sql.Literal(str(Identity.of(os.getpid())))
    roles = sql.SQL(
        "CREATE ROLE {owner} NOLOGIN; COMMENT ON ROLE {owner} IS {lender};"
        "CREATE ROLE {role} LOGIN PASSWORD {password} CONNECTION LIMIT 64;"
        "ALTER ROLE {role} SET temp_file_limit = '32MB'"
    )
    grants = sql.SQL(
        "REVOKE ALL ON DATABASE {role} FROM PUBLIC;"
        "GRANT CONNECT, TEMPORARY ON DATABASE {role} TO {role}"
    )
    names = {"owner": sql.Identifier(f"{name}_owner"), "role": sql.Identifier(name)}
    async with await cluster.connect() as connection:
        await connection.execute(
            roles.format(**names, lender=lender, password=sql.Literal(password))
        )
        await cluster.create_database(name, owner=f"{name}_owner")
        await connection.execute(grants.format(**names))


def _schema(name: str, schema_sql: str) -> str:
    """Return what fills a new database: the program's rights, then `schema_sql` as its owner."""
    return f"SET ROLE {name}_owner; GRANT USAGE, CREATE ON SCHEMA public TO {name};\n" + re.sub(
        r"(?<!:):program\b", name, schema_sql
    )


@contextlib.asynccontextmanager
async def _watched(cluster: Cluster, lent: Database) -> AsyncIterator[None]:
    """Lock the program out of `lent` once its data is too large: PostgreSQL has no such limit."""
    watch = asyncio.create_task(_lock_out_when_full(cluster, lent))
    try:
        yield
    finally:
        watch.cancel()
        # However it ends: a server that is gone shows elsewhere.
        await asyncio.gather(watch, return_exceptions=True)


async def _lock_out_when_full(cluster: Cluster, lent: Database) -> None:
    lock_out = sql.SQL(
        "ALTER ROLE {role} NOLOGIN;"
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {name}"
    ).format(role=sql.Identifier(lent.role), name=sql.Literal(lent.role))
    async with await cluster.connect() as connection:
        while await _size_mb(connection, lent.name) <= SIZE_LIMIT_MB:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(WATCH_S)
        await connection.execute(lock_out)
    lent.full.set()


async def _size_mb(connection: psycopg.AsyncConnection, database: str) -> int:
    size = await connection.execute("SELECT pg_database_size(%s) >> 20", [database])
    row = await size.fetchone()
    assert row
    return row[0]


async def _drop(cluster: Cluster, name: str) -> None:
    await cluster.drop_database(name)
    async with await cluster.connect() as connection:
        for role in (name, f"{name}_owner"):
            await connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


async def drop_abandoned(cluster: Cluster) -> None:
    """Drop the databases of `cluster` that were lent by processes which are gone."""
    async with await cluster.connect() as connection:
        owners = await connection.execute(
            "SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles"
            r" WHERE rolname LIKE 'run\_%\_owner'"
        )
        for owner, lender in await owners.fetchall():
            if not Identity.parse(lender).alive:
                await _drop(cluster, owner.removesuffix("_owner"))


def _binary(name: str) -> Path:
    path = assets.postgres() / "bin" / name
    if not path.exists():
        raise SandboxError("PostgreSQL is not set up. Run: offsetzero setup")
    return path
