"""Everything on one machine: `offsetzero serve`.

Prepares the machine, starts the platform's database server, brings the schema up to date, then
keeps the web server and the workers running until a signal comes.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import httpx

from sandbox.box import check_level
from sandbox.doctor import examine
from sandbox.postgres import Cluster
from sandbox.process import SandboxError
from sandbox.setup import prepare
from webapp import demo, frontend_build, migrate
from webapp.db import make_engine, make_sessions
from webapp.embedded import provide_database, stored_secret
from webapp.network import authority
from webapp.supervisor import keep_running, keep_up

LOOPBACK = ("127.0.0.1", "::1", "localhost")
FORGOTTEN = f"as shown at the first start; a new one: offsetzero interviewer add {demo.INTERVIEWER}"

Say = Callable[[str], None]


async def serve(host: str, port: int, workers: int, say: Say) -> None:
    """Serve until SIGTERM or SIGINT. Raises SandboxError when the machine is not fit for it."""
    await asyncio.to_thread(check_machine, host, port)
    await prepare(say)
    await asyncio.to_thread(frontend_build.build, say)
    stopped = stop_signal()
    cluster = Cluster.platform()
    await cluster.start()
    try:
        environment, tryout = await asyncio.to_thread(set_up, cluster)
        duties = [
            keep_running(name, arguments, environment, say)
            for name, arguments in processes(host, port, workers).items()
        ]
        duties.append(keep_up(cluster, say))
        duties.append(announce(f"http://{authority(host, port)}", tryout, say))
        warn_of_plain_http(host, say)
        await carry_out(duties, stopped)
    finally:
        await stop_unless_used(cluster)


def processes(host: str, port: int, workers: int) -> dict[str, list[str]]:
    """The commands of ours that serve, by what they are."""
    web = ["web", "--host", host, "--port", str(port)]
    return {"web server": web} | {f"worker {n}": ["worker"] for n in range(1, workers + 1)}


async def carry_out(duties: Iterable[Coroutine[Any, Any, None]], stopped: asyncio.Event) -> None:
    """Do all of these until `stopped` is set, or until one of them fails."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(duty) for duty in duties]
        await stopped.wait()
        for task in tasks:
            task.cancel()


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


def check_machine(host: str, port: int) -> None:
    """Raise SandboxError with all that keeps this machine from serving, and what to do."""
    broken = [probe for probe in examine([(host, port)]) if probe.state == "broken"]
    if broken:
        lines = [f"{probe.what}: {probe.found}\n  {probe.remedy}" for probe in broken]
        raise SandboxError("This machine is not ready.\n" + "\n".join(lines))
    check_level(serves_strangers=host not in LOOPBACK or bool(os.environ.get("OFFSETZERO_URL")))


def set_up(cluster: Cluster) -> tuple[dict[str, str], demo.Demo | None]:
    """The environment of our processes, and something to try, on an up-to-date schema."""
    database_url = provide_database(cluster)
    engine = make_engine(database_url)
    migrate.upgrade(engine)
    with make_sessions(engine).begin() as db:
        tryout = demo.make(db)
    engine.dispose()
    key = os.environ.get("OFFSETZERO_SECRET_KEY") or stored_secret("secret_key")
    return {"DATABASE_URL": database_url, "OFFSETZERO_SECRET_KEY": key}, tryout


async def announce(address: str, tryout: demo.Demo | None, say: Say) -> None:
    """Say where we are, once we answer."""
    await ready(f"{address}/healthz")
    address = os.environ.get("OFFSETZERO_URL", "").rstrip("/") or address
    say(f"\nOffset Zero is ready: {address}\n")
    if tryout:
        say(f"  Interviewer  {address}/login")
        say(f"               {tryout.email}")
        say(f"               password: {tryout.password or FORGOTTEN}")
        say(f"  Candidate    {address}{tryout.invite_path}\n")
    say("Stop with Ctrl-C.")


def warn_of_plain_http(host: str, say: Say) -> None:
    """Say what is missing when others can reach us without encryption."""
    if host not in LOOPBACK and not os.environ.get("OFFSETZERO_URL", "").startswith("https://"):
        say("Others on the network can reach this, unencrypted. For more than a try, put a proxy")
        say("with https in front and set OFFSETZERO_URL and OFFSETZERO_PROXIES.")


async def ready(url: str) -> None:
    """Return once the address answers."""
    async with httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(url)).is_success:
                    return
            await asyncio.sleep(0.05)


async def stop_unless_used(cluster: Cluster) -> None:
    """Stop a database server that nobody else is connected to."""
    if not await cluster.alive():
        return
    async with await cluster.connect() as connection:
        others = await connection.execute(
            "SELECT 1 FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        used = await others.fetchone()
    if not used:
        await cluster.stop()
