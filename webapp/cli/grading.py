"""Commands that grade."""

import asyncio
import json
import sys
from pathlib import Path

import click

from webapp.cli.shared import FILE, FOLDER, driver_option, kept_or_temporary, say, usage_errors
from webapp.config import VISIBLE_SEED


@click.command()
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


@click.command()
@click.argument("challenge")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--language", default="", help="If not that of the entry point.")
@click.option("--seed", default=VISIBLE_SEED, show_default=True, help="What is drawn at random.")
@click.option("--scenario", "scenarios", multiple=True, help="Play only this one; repeatable.")
@driver_option
@click.option("--json", "json_file", type=FILE, help="Write the report as JSON.")
@click.option("--html", "html_file", type=FILE, help="Write the report as one HTML page.")
@click.option("--history", type=FOLDER, help="Keep the histories here, for `recheck`.")
def grade(challenge, path, language, seed, scenarios, json_file, html_file, history):
    """Grade the program at PATH (a folder, or one file) against CHALLENGE.

    The story is told on standard error, the report printed on standard output.
    """
    from webapp import terminal

    with usage_errors(terminal.Unusable), kept_or_temporary(history) as folder:
        known = terminal.challenge_named(challenge)
        terminal.check_scenarios(known, scenarios)
        terminal.check_language(known, language)
        submission = terminal.read_submission(path, language)
        terminal.check_language(known, submission.language)
        report = asyncio.run(
            terminal.grade_here(
                known,
                submission,
                seed=seed,
                scenarios=scenarios,
                history=folder,
                say=say,
            )
        )
    deliver(report, json_file, html_file)


@click.command()
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


@click.command()
@click.argument("challenge")
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1))
@click.option("--only", multiple=True, help="Only this solution; repeatable.")
@click.option("--seed", default=1, show_default=True, help="The first one; each repeat adds one.")
@click.option("--quick", is_flag=True, help="Rejected ones: only the scenario that exposes them.")
@click.option(
    "--jobs",
    default=1,
    show_default=True,
    type=click.IntRange(1, 8),
    help="So many gradings side by side.",
)
@driver_option
@click.option("--json", "json_file", type=FILE, help="Write the matrix as JSON.")
@click.option("--history", type=FOLDER, help="Keep the histories here.")
def verify(challenge, repeat, only, seed, quick, jobs, json_file, history):
    """Print the kill matrix: CHALLENGE's known solutions against its checks."""
    from challenges import verify as kill_matrix
    from webapp import terminal

    with usage_errors(terminal.Unusable, KeyError), kept_or_temporary(history) as folder:
        terminal.challenge_named(challenge)
        matrix = asyncio.run(
            terminal.verify_here(
                challenge,
                repeat=repeat,
                only=only,
                seed=seed,
                quick=quick,
                jobs=jobs,
                history=folder,
                say=say,
            )
        )
    if json_file:
        json_file.write_text(json.dumps(kill_matrix.to_json(matrix), indent=2) + "\n", "utf-8")
    click.echo(kill_matrix.table(matrix))
    for deviation in matrix.deviations:
        click.echo(f"Deviation: {deviation}")
    click.echo(f"{len(matrix.trials)} gradings, {matrix.flips} flips")
    sys.exit(1 if matrix.deviations else 0)
