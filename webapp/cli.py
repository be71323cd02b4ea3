"""The command line. Each command parses, calls, prints; the work is elsewhere.

Exit codes: 0 done (grade: every check passed), 1 not as it should be (grade: some check failed),
2 it could not be done (grade: not be judged), 64 the command was used wrongly.
"""

import asyncio
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from sandbox.process import SandboxError
from webapp.config import VISIBLE_SEED, Config, ConfigError, database_url, histories

IMPOSSIBLE, USAGE_ERROR, INTERRUPTED = 2, 64, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="offsetzero")
def cli() -> None:
    """Offset Zero: Kafka challenges, graded by proof."""


def main() -> None:
    """Run the command line and exit with the code it stands for."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        code = cli.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        code = USAGE_ERROR
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (ConfigError, SandboxError) as error:
        click.echo(f"Error: {error}", err=True)
        code = IMPOSSIBLE
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    sys.exit(code)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Grading processes."
)
def serve(host: str, port: int, workers: int) -> None:
    """Start everything on this machine."""
    from webapp.serve import serve

    asyncio.run(serve(host, port, workers, say))


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1))
def web(host: str, port: int, processes: int) -> None:
    """Start the web server alone, on the database of DATABASE_URL."""
    from webapp.network import authority

    Config.from_env()  # complain here, not in each process
    settings = Path(__file__).with_name("gunicorn_conf.py")
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


@cli.command()
@click.option(
    "--concurrency", default=1, show_default=True, type=click.IntRange(1), help="Runs at a time."
)
def worker(concurrency: int) -> None:
    """Start a grading worker, on the database of DATABASE_URL."""
    from sandbox.setup import prepare
    from webapp.grading.worker import work

    async def prepared() -> None:
        await prepare(say)
        await work(database_url(), histories(), concurrency)

    asyncio.run(prepared())


@cli.command()
def setup() -> None:
    """Download, verify and build what the platform needs."""
    from sandbox.setup import prepare
    from webapp import frontend_build

    asyncio.run(prepare(say))
    frontend_build.build(say)


@cli.command()
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


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def challenges(as_json: bool) -> None:
    """List the challenges."""
    from challenges import catalogue

    found = [catalogue.load(name) for name in catalogue.names()]
    if as_json:
        click.echo(json.dumps([summary(challenge) for challenge in found], indent=2))
        return
    for challenge in found:
        languages = ", ".join(challenge.languages)
        click.echo(f"{challenge.name}: {challenge.title}")
        click.echo(f"    {challenge.level}, {challenge.minutes} min, {languages}")
        click.echo(f"    {', '.join(skills(challenge))}")


def summary(challenge) -> dict:
    """A challenge as `challenges --json` prints it."""
    return {
        "name": challenge.name,
        "title": challenge.title,
        "summary": challenge.summary,
        "level": challenge.level,
        "minutes": challenge.minutes,
        "languages": list(challenge.languages),
        "skills": skills(challenge),
        "scenarios": [
            {"name": scenario.name, "title": scenario.title, "visible": scenario.visible}
            for scenario in challenge.scenarios
        ],
    }


def skills(challenge) -> list[str]:
    """The skills that a challenge's checks speak for, each once."""
    return list(dict.fromkeys(use.skill for use in challenge.checks))


FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


@cli.command()
@click.argument("challenge")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--language", default="python", show_default=True)
@click.option("--seed", default=VISIBLE_SEED, show_default=True, help="What is drawn at random.")
@click.option("--scenario", "scenarios", multiple=True, help="Play only this one; repeatable.")
@click.option("--driver", default="process", show_default=True, type=click.Choice(["process"]))
@click.option("--json", "json_file", type=FILE, help="Write the report as JSON.")
@click.option("--html", "html_file", type=FILE, help="Write the report as one HTML page.")
@click.option("--history", type=FOLDER, help="Keep the histories here, for `recheck`.")
def grade(challenge, path, language, seed, scenarios, driver, json_file, html_file, history):
    """Grade the program at PATH (a folder, or one file) against CHALLENGE.

    The story is told on standard error, the report printed on standard output.
    """
    from webapp import terminal

    with usage_errors(terminal.Unusable), kept_or_temporary(history) as folder:
        known = terminal.challenge_named(challenge)
        terminal.check_scenarios(known, scenarios)
        if language not in known.languages:
            raise click.UsageError(f"{challenge} is for: {', '.join(known.languages)}")
        report = asyncio.run(
            terminal.grade_here(
                known,
                terminal.read_submission(path, language),
                seed=seed,
                scenarios=scenarios,
                history=folder,
                say=say,
            )
        )
    deliver(report, json_file, html_file)


@cli.command()
@click.argument("history_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "json_file", type=FILE, help="Write the report as JSON.")
@click.option("--html", "html_file", type=FILE, help="Write the report as one HTML page.")
def recheck(history_dir: Path, json_file: Path | None, html_file: Path | None) -> None:
    """Give the verdict again, from a saved history alone."""
    from webapp import terminal

    with usage_errors(terminal.Unusable):
        report = terminal.recheck_history(history_dir)
    deliver(report, json_file, html_file)


def deliver(report, json_file: Path | None, html_file: Path | None) -> None:
    """Print a report, write it to the files asked for, and exit with its code."""
    from graders.report import as_html, as_text

    if json_file:
        json_file.write_text(json.dumps(report.data, indent=2) + "\n", "utf-8")
    if html_file:
        html_file.write_text(as_html(report), "utf-8")
    click.echo(as_text(report), nl=False)
    sys.exit(report.exit_code)


@cli.command()
@click.argument("challenge")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1))
@click.option("--only", multiple=True, help="Only this solution; repeatable.")
@click.option("--seed", default=1, show_default=True, help="The first one; each repeat adds one.")
@click.option("--json", "json_file", type=FILE, help="Write the matrix as JSON.")
@click.option("--history", type=FOLDER, help="Keep the histories here.")
def verify(challenge, repeat, only, seed, json_file, history):
    """Print the kill matrix: CHALLENGE's known solutions against its checks."""
    from challenges import verify as kill_matrix
    from webapp import terminal

    with usage_errors(terminal.Unusable, KeyError), kept_or_temporary(history) as folder:
        terminal.challenge_named(challenge)
        matrix = asyncio.run(
            terminal.verify_here(
                challenge, repeat=repeat, only=only, seed=seed, history=folder, say=say
            )
        )
    if json_file:
        json_file.write_text(json.dumps(kill_matrix.to_json(matrix), indent=2) + "\n", "utf-8")
    click.echo(kill_matrix.table(matrix))
    for deviation in matrix.deviations:
        click.echo(f"Deviation: {deviation}")
    click.echo(f"{len(matrix.trials)} gradings, {matrix.flips} flips")
    sys.exit(1 if matrix.deviations else 0)


@contextmanager
def usage_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn these exceptions into complaints about how the command was used."""
    try:
        yield
    except kinds as error:
        raise click.UsageError(str(error.args[0] if error.args else error)) from error


@contextmanager
def kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    """The folder asked for, or one that is gone afterwards."""
    if folder:
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="offsetzero-") as temporary:
            yield Path(temporary)


@cli.group()
def interviewer() -> None:
    """Interviewers' accounts."""


@interviewer.command("add")
@click.argument("email")
@click.option("--name", help="How the person is called on pages.")
def add_interviewer(email: str, name: str | None) -> None:
    """Make an account, or give the one there is a new password."""
    from webapp.accounts.services import set_password
    from webapp.embedded import operator_session

    if "@" not in email:
        raise click.UsageError(f"{email!r} is not an e-mail address")
    with operator_session() as db:
        _, password = set_password(db, email, name)
    click.echo(f"{email} can log in with this password, which is shown only now:\n{password}")


@interviewer.command("disable")
@click.argument("email")
def disable_interviewer(email: str) -> None:
    """Close an account and end its sessions."""
    from webapp.accounts.services import disable
    from webapp.embedded import operator_session

    with operator_session() as db:
        if not disable(db, email):
            raise click.ClickException(f"There is no interviewer {email}.")
    click.echo(f"{email} can no longer log in.")


def say(text: str) -> None:
    """Tell the person at the terminal, at once."""
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
