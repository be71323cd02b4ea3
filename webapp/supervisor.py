"""Keeping processes and the database server alive until we are told to stop."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from sandbox.postgres import Cluster
from sandbox.process import SandboxError

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
STEADY_S = 30.0  # who lived this long begins anew with the shortest pause
STOP_PATIENCE_S = 8.0
LOOK_EVERY_S = 0.5

Say = Callable[[str], None]


async def keep_running(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], say: Say
) -> None:
    """Run `offsetzero ARGUMENTS`, again whenever it ends, until cancelled; then stop it."""
    pause = SHORTEST_PAUSE_S
    while True:
        begun = time.monotonic()
        child = await start(arguments, environment)
        try:
            code = await child.wait()
        finally:
            await stop(child)
        pause = SHORTEST_PAUSE_S if time.monotonic() - begun > STEADY_S else pause
        say(f"The {name} ended ({ending(code)}); starting it again in {pause:.1f} s")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def start(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Start one of our own commands; it gets SIGTERM should we die without stopping it.

    It leads a session of its own, so a Ctrl-C in the terminal reaches it through us only.
    """
    return await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "TERM"),
        *(sys.executable, "-m", "webapp.cli", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, **environment},
        start_new_session=True,
    )


async def stop(child: asyncio.subprocess.Process) -> None:
    """Ask the process to end, and end it when it does not in time."""
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), STOP_PATIENCE_S)
    except TimeoutError:
        child.kill()
        await child.wait()


async def keep_up(cluster: Cluster, say: Say) -> None:
    """Start the database server again whenever it is gone, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if not await cluster.alive():
            say(f"The {cluster.name} database server is gone; starting it again")
            try:
                await cluster.start()
            except SandboxError as error:
                say(str(error))


def ending(code: int) -> str:
    """How a process ended, in words."""
    return f"signal {-code}" if code < 0 else f"code {code}"
