"""Commands that serve, and that prepare a machine for it."""

import asyncio
import os
import sys
from pathlib import Path

import click

from webapp.cli.shared import driver_option, say
from webapp.config import Config, database_url, histories


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Grading processes."
)
@driver_option
def serve(host: str, port: int, workers: int) -> None:
    """Start everything on this machine."""
    from webapp.serve import serve

    asyncio.run(serve(host, port, workers, say))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1))
def web(host: str, port: int, processes: int) -> None:
    """Start the web server alone, on the database of DATABASE_URL."""
    from webapp.network import authority

    Config.from_env()  # complain here, not in each process
    settings = Path(__file__).parents[1] / "gunicorn_conf.py"
    arguments = [
        *(
            sys.executable,
            "-m",
            "gunicorn",
            "--config",
            str(settings),
            "--bind",
            authority(host, port),
        ),
        *("--workers", str(processes), "--log-level", "warning", "webapp:create_app()"),
    ]
    # A fresh interpreter: gevent must patch before anything else is imported.
    os.execv(sys.executable, arguments)  # noqa: S606


@click.command()
@click.option(
    "--concurrency", default=1, show_default=True, type=click.IntRange(1), help="Runs at a time."
)
@driver_option
def worker(concurrency: int) -> None:
    """Start a grading worker, on the database of DATABASE_URL."""
    from sandbox.box import check_level
    from sandbox.setup import prepare
    from webapp.grading.worker import work

    check_level()

    async def prepared() -> None:
        await prepare(say)
        await work(database_url(), histories(), concurrency)

    asyncio.run(prepared())


@click.command()
@driver_option
def setup() -> None:
    """Download, verify and build what the platform needs."""
    from sandbox.setup import prepare
    from webapp import frontend_build

    asyncio.run(prepare(say))
    frontend_build.build(say)


@click.command()
@driver_option
def doctor() -> None:
    """Look whether this machine has what the platform needs."""
    from sandbox.doctor import examine

    broken = False
    for probe in examine():
        click.echo(f"{probe.state:<7} {probe.what}: {probe.found}")
        if probe.remedy:
            click.echo(f"        {probe.remedy}")
        broken = broken or probe.state == "broken"
    sys.exit(1 if broken else 0)
