"""Commands for interviewers' accounts."""

import click


@click.group()
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
