"""The PostgreSQL cluster of the platform's own data.

The server outlives us on purpose: the next process attaches to it. Whether it runs is judged by
connecting, never by its pid file. It listens on no port.
"""

import asyncio
import contextlib
import shlex
import shutil
from pathlib import Path

from sandbox.home import home, make_folder
from sandbox.postgres.server import Server, binary, init
from sandbox.process import Identity, SandboxError, exclusive, run

START_TIMEOUT = 60.0
ATTEMPTS = 3


class Cluster(Server):
    """One PostgreSQL server with its data folder.

    name: of its folder in the state; one server runs per name and state.
    """

    def __init__(self, name: str) -> None:
        super().__init__(home().state / "postgres" / name)
        self.name = name

    @classmethod
    def platform(cls) -> "Cluster":
        """Return the cluster of the platform's own data."""
        return cls("platform")

    async def start(self) -> None:
        """Attach to the running server, or make and start it; SandboxError when it does not start.

        Any number of processes may call this at once.
        """
        make_folder(self.folder)
        async with exclusive(self.folder / "lock"):
            if not await self.alive():
                await self._start()

    async def stop(self) -> None:
        """Stop the server, ending its sessions; nothing to do when it does not run."""
        async with exclusive(self.folder / "lock"):
            if await self.alive():
                await self._pg_ctl("stop", "-m", "fast")

    async def alive(self) -> bool:
        """Tell whether the server accepts our connection."""
        return await self.answers(within=5)

    async def _init(self) -> None:
        """Make the data folder; beside its place first, so a killed initdb leaves no half one."""
        draft = self.folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        await init(draft)
        draft.rename(self.data)

    async def _start(self) -> None:
        if await self._comes_up_by_itself():
            return
        if not self.data.exists():
            await self._init()
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(SandboxError):
                await self._start_once()
                return
            await asyncio.sleep(1)  # children of a killed server are still ending
        await self._start_once()

    async def _start_once(self) -> None:
        settings = self.configure()
        log = self.data / "server.log"
        log.unlink(missing_ok=True)
        try:
            await self._pg_ctl(
                "start", "-l", log, "-o", f"-c config_file={shlex.quote(str(settings))}"
            )
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

    async def _pg_ctl(self, action: str, *arguments: str | Path) -> None:
        command = [binary("pg_ctl"), "-D", self.data, "-w", "-t", "60", "-s", *arguments, action]
        await run(command, f"cannot {action} the PostgreSQL server of {self.data}")
