"""Set-up: download, verify and build everything a run needs, once, into the cache.

Each asset is built in a draft folder, made readable for the unprivileged users and renamed into
place. One lock lets one process build at a time; the others wait and then find all of it there.
"""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sandbox import assets, broker, broker_image
from sandbox.box import sweep_boxes
from sandbox.home import Home, closed_parent, home
from sandbox.postgres import database_server
from sandbox.process import SandboxError, exclusive, make_service_user, service_user, sweep
from sandbox.runtimes import RUNTIMES

Progress = Callable[[str], None]
Maker = Callable[[Path], Awaitable[None]]


async def prepare(progress: Progress) -> None:
    """Make all that runs need, and clean up after earlier processes that were killed.

    Idempotent, and done in well under a second when all is there. `progress` gets a line for people
    before each step that takes time. Raises SandboxError when something cannot be had.
    """
    make_service_user()
    place = home()
    _check_open(place)
    await asyncio.to_thread(sweep, place)
    await sweep_boxes()

    def waiting() -> None:
        progress("Another process is setting up; waiting for it")

    for target, title, make in _assets():
        if not target.exists():
            async with exclusive(place.cache / ".lock", waiting):
                if not target.exists():  # else made by another process while we waited
                    await _build(target, title, make, progress)


def _assets() -> list[tuple[Path, str, Maker]]:
    """Return (folder, what it is, how to make it) of each asset, each after what it rests on."""
    return [
        (assets.jars(), "Downloading Apache Kafka (43 MB)", _in_thread(assets.fetch_jars)),
        (assets.java_runtime(), "Copying the Java runtime", _in_thread(assets.copy_java)),
        (assets.postgres_package(), "Copying PostgreSQL", _in_thread(assets.copy_postgres)),
        (database_server.image(), "Preparing PostgreSQL", database_server.make_image),
        (broker.image(), "Preparing Kafka for a fast start", broker_image.make_image),
        *(
            (runtime.folder(), f"Preparing {runtime.language} for candidates", runtime.make)
            for runtime in RUNTIMES.values()
            if not runtime.missing()
        ),
    ]


def _in_thread(make: Callable[[Path], None]) -> Maker:
    return lambda draft: asyncio.to_thread(make, draft)


async def _build(target: Path, title: str, make: Maker, progress: Progress) -> None:
    progress(title)
    begin = time.monotonic()
    draft = target.with_name(f".{target.name}")
    shutil.rmtree(draft, ignore_errors=True)  # left by a build that was killed
    draft.mkdir()
    try:
        await make(draft)
        await asyncio.to_thread(_open_to_all, draft)
        draft.rename(target)
    except OSError as error:
        raise SandboxError(f"{title} failed: {error}. Is the disk of {target} full?") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    progress(f"  done in {time.monotonic() - begin:.1f} s")


def _open_to_all(folder: Path) -> None:
    """Let every user read (and enter) all in `folder`, whatever the umask was."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode & 0o7777
            path.chmod(mode | 0o444 | (0o111 if mode & 0o100 else 0))


def _check_open(place: Home) -> None:
    """Raise SandboxError when the service user could not enter our folders."""
    for folder in (place.cache, place.state):
        closed = closed_parent(folder)
        if service_user() and closed:
            raise SandboxError(
                f"{folder} cannot be used: other users may not enter {closed} (mode 0700?), and "
                f"Kafka and PostgreSQL do not run as root. Set OFFSETZERO_HOME (or "
                f"OFFSETZERO_STATE) to a folder that all can enter, such as /var/lib/offsetzero."
            )
