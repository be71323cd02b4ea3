"""Commands of the decision guide."""

import sys
from pathlib import Path

import click

from webapp.cli.shared import FILE, usage_errors


@click.group()
def guide() -> None:
    """When event-driven design fits, and what would change the answer."""


OVERLAY = click.option("--overlay", type=FILE, help="A company's own weights and knock-outs.")


@guide.command("score")
@click.argument("answers", type=FILE)
@click.option("--json", "json_file", type=FILE, help="Write the result as JSON.")
@OVERLAY
def guide_score(answers: Path, json_file: Path | None, overlay: Path | None) -> None:
    """Score the answers in ANSWERS.json."""
    from decision_guide import commands

    print_outcome(commands.score, answers, json_path=json_file, overlay_path=overlay)


@guide.command("lint")
@OVERLAY
def guide_lint(overlay: Path | None) -> None:
    """Check the decision model."""
    from decision_guide import commands

    print_outcome(commands.check, overlay_path=overlay)


@guide.command("adr")
@click.argument("answers", type=FILE)
@click.option("--decision", help="Only the record of this decision.")
@click.option("--date", help="YYYY-MM-DD; today when left out.")
@OVERLAY
def guide_adr(answers: Path, decision: str | None, date: str | None, overlay: Path | None) -> None:
    """Print decision records (MADR) for the answers in ANSWERS.json."""
    from decision_guide import commands

    print_outcome(commands.record, answers, decision=decision, date=date, overlay_path=overlay)


def print_outcome(command, *arguments, **options) -> None:
    """Carry out a command of the decision guide, print what it says, and exit with its code."""
    from decision_guide import GuideError

    with usage_errors(GuideError):
        outcome = command(*arguments, **options)
    click.echo(outcome.text, nl=False)
    sys.exit(outcome.code)
