"""What both kinds of PostgreSQL server share: files, settings, and how we connect."""

import asyncio
import os
import pwd
from pathlib import Path

import psycopg
from psycopg import sql

from sandbox import assets
from sandbox.process import SandboxError, give_to_service, run

SOCKET_PORT = 5432  # in the name of the socket; a server that listens on TCP too has another
SOCKET_PATH_LIMIT = 107  # bytes: sun_path of Linux
STATEMENT_TIMEOUT = 60.0  # of our own; one that drops a database waits for every session's consent

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
listen_addresses = ''
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


class Server:
    """A PostgreSQL server that works in a folder of the state.

    folder: ours, with the configuration. data, sockets: below it, the server's own.
    port: in the name of its socket, and of its TCP listener when it has one.
    """

    def __init__(self, folder: Path, port: int = SOCKET_PORT) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.sockets = folder / "run"
        self.port = port

    def admin_dsn(self, database: str = "postgres") -> str:
        """Return how we connect as superuser, by Unix socket; valid while the server runs."""
        return f"host={self.sockets} port={self.port} user=postgres dbname={database}"

    async def connect(self, database: str = "postgres") -> psycopg.AsyncConnection:
        """Return a new superuser connection in autocommit mode; a statement that takes over a
        minute ends in psycopg's QueryCanceled."""
        return await psycopg.AsyncConnection.connect(
            self.admin_dsn(database),
            autocommit=True,
            connect_timeout=5,
            options=f"-c statement_timeout={STATEMENT_TIMEOUT:g}s",
        )

    async def answers(self, within: float) -> bool:
        """Tell whether the server accepts our connection within so many seconds."""
        try:
            async with asyncio.timeout(within), await self.connect():
                return True
        except (psycopg.OperationalError, TimeoutError):
            return False

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

    def configure(self, extra: str = "") -> Path:
        """Write the configuration, `extra` settings last; return its file. SandboxError when the
        folder's path is too long for a socket."""
        self._check_socket_path()
        give_to_service(self.sockets, mode=0o755)
        settings = SETTINGS.format(
            data=self.data, folder=self.folder, port=self.port, sockets=self.sockets
        )
        ourselves = pwd.getpwuid(os.geteuid()).pw_name
        file = self.folder / "postgresql.conf"
        file.write_text(settings + extra)
        (self.folder / "pg_hba.conf").write_text(HBA)
        (self.folder / "pg_ident.conf").write_text(f"platform {ourselves} postgres\n")
        return file

    def _check_socket_path(self) -> None:
        longest = self.sockets / ".s.PGSQL.65535"
        if len(os.fsencode(longest)) > SOCKET_PATH_LIMIT:
            raise SandboxError(
                f"{longest} is longer than a Unix socket's name may be ({SOCKET_PATH_LIMIT} "
                "bytes). Set OFFSETZERO_STATE to a folder with a shorter path."
            )


def binary(name: str) -> Path:
    """Return the path of a program of PostgreSQL; SandboxError before set-up."""
    path = assets.postgres() / "bin" / name
    if not path.exists():
        raise SandboxError("PostgreSQL is not set up. Run: offsetzero setup")
    return path


async def init(data: Path) -> None:
    """Make a fresh cluster in the new folder `data`; SandboxError when it cannot be made."""
    give_to_service(data)
    command: list[str | Path] = [binary("initdb"), "-D", data, "-U", "postgres", "-E", "UTF8"]
    command += ["--no-sync", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += ["--auth-local=peer", "--auth-host=reject"]
    await run(command, f"cannot make the database cluster {data}")
