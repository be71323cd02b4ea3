"""The PostgreSQL server of one submission: locks, notifications and connections are its own.

It starts from an image that set-up made (a fresh cluster, copied), works in a scratch folder, and
is destroyed with everything in it.
"""

import asyncio
import contextlib
import shutil
import signal
from pathlib import Path

from sandbox import assets
from sandbox.daemon import Daemon, free_ports, on_free_ports
from sandbox.home import home
from sandbox.postgres.server import Server, binary, init
from sandbox.process import SandboxError, Scratch, give_to_service, kill_all_in, run

QUIT_TIMEOUT = 8.0  # the server itself kills what does not end within 5 s
BACKEND_MB = 512  # of memory that one session may use

# The graders need the order of commits. The data is worthless once we end, so nothing waits for the
# disk. Three scenarios are played side by side: three times the connections of a role, and ours
# (`lend_database`). Notifications that nobody takes may fill 64 MB; by default it would be 8 GB.
SETTINGS = """\
listen_addresses = '127.0.0.1'
max_connections = 224
max_notify_queue_pages = 8192
track_commit_timestamp = on
fsync = off
full_page_writes = off
"""


def image() -> Path:
    """Return the folder that set-up makes for servers: a cluster that never ran."""
    return home().cache / f"database-{assets.digest(assets.postgres_package().name)}"


async def make_image(target: Path) -> None:
    """Fill `target` with a fresh cluster; SandboxError when it cannot be made."""
    scratch = Scratch.create("init")
    try:
        await init(scratch.path / "data")
        shutil.copytree(scratch.path / "data", target, dirs_exist_ok=True)
    finally:
        scratch.remove()


class DatabaseServer(Server, Daemon):
    """A running server that lends databases to the programs of one submission.

    address: where the gateway finds it.
    """

    NAME = "PostgreSQL server"
    PORT_TAKEN = "could not create any TCP/IP sockets"
    DIES_BY = "QUIT"  # and so do its sessions, which a SIGKILL of it would leave to themselves

    def __init__(self, process: asyncio.subprocess.Process, scratch: Scratch, port: int) -> None:
        Daemon.__init__(self, process, scratch)
        Server.__init__(self, scratch.path, port)
        self.address = ("127.0.0.1", port)

    @classmethod
    async def start(cls) -> "DatabaseServer":
        """Return a server that accepts connections; SandboxError when none starts."""
        if not image().exists():
            raise SandboxError("PostgreSQL is not set up. Run: offsetzero setup")
        return await on_free_ports(cls._start_once)

    @classmethod
    async def _start_once(cls) -> "DatabaseServer":
        with Scratch.draft("database") as scratch:
            (port,) = free_ports(1)
            files = Server(scratch.path, port)
            give_to_service(files.data)
            await run(["cp", "-r", f"{image()}/.", files.data], f"cannot copy {image()}")
            settings = files.configure(SETTINGS)
            # No session takes the machine's memory: each inherits this limit.
            limited = ["sh", "-c", f'ulimit -d {BACKEND_MB << 10}; exec "$@"', "sh"]
            server: list[str | Path] = [binary("postgres"), "-c", f"config_file={settings}"]
            process = await cls.spawn(scratch, [*limited, *server])
            return await cls(process, scratch, port).ready()

    async def _kill_process(self) -> None:
        """Let the server end its sessions and remove its shared memory at once; by force when it
        does not."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGQUIT)
        try:
            await asyncio.wait_for(self._process.wait(), QUIT_TIMEOUT)
        except TimeoutError:
            await super()._kill_process()
        await asyncio.to_thread(kill_all_in, self.data)
