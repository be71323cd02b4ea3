"""The command line. Each command parses, calls, prints; the work is elsewhere.

Exit codes: 0 done (grade: every check passed), 1 not as it should be (grade: some check failed),
2 it could not be done (grade: not be judged), 64 the command was used wrongly.
"""

import logging
import sys

import click

from sandbox.process import SandboxError
from webapp.cli import grading, guide, interviewers, serving
from webapp.config import ConfigError

IMPOSSIBLE, USAGE_ERROR, INTERRUPTED = 2, 64, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="offsetzero")
def cli() -> None:
    """Offset Zero: Kafka challenges, graded by proof."""


COMMANDS = (
    *(serving.serve, serving.web, serving.worker, serving.setup, serving.doctor),
    *(grading.challenges, grading.grade, grading.recheck, grading.verify),
    *(guide.guide, interviewers.interviewer),
)
for command in COMMANDS:
    cli.add_command(command)


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
    except Exception:  # never 1: a fault of ours would read as the program's failure
        logging.exception("offsetzero itself failed")
        code = IMPOSSIBLE
    sys.exit(code)
