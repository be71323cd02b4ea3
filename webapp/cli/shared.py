"""What the commands share."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
DRIVERS = ("process", "docker")  # of sandbox.box, which takes long to load


def _use_driver(context: click.Context, option: click.Parameter, name: str) -> None:
    os.environ["OFFSETZERO_DRIVER"] = name  # for our own processes, too


driver_option = click.option(
    "--driver",
    default=DRIVERS[0],
    show_default=True,
    envvar="OFFSETZERO_DRIVER",
    type=click.Choice(DRIVERS),
    callback=_use_driver,
    expose_value=False,
    help="Who makes the programs' boxes: bubblewrap, or a Docker engine.",
)


def say(text: str) -> None:
    """Tell the person at the terminal, at once."""
    click.echo(text, err=True)


@contextmanager
def usage_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn these exceptions into complaints about how the command was used."""
    try:
        yield
    except kinds as error:
        # A KeyError's text is its argument in quotes.
        text = error.args[0] if isinstance(error, KeyError) else str(error)
        raise click.UsageError(text) from error


@contextmanager
def kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    """The folder asked for, or one that is gone afterwards."""
    if folder:
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="offsetzero-") as temporary:
            yield Path(temporary)
