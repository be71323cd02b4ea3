"""What the commands share."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


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
