"""Bringing the platform's database to the schema of this version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, func, select

LOCK = 8_712_001  # advisory lock: of several machines that start at once, one migrates


def upgrade(engine: Engine, target: str = "head") -> None:
    """Migrate to `target`; does nothing when the schema is there already."""
    with engine.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
        command.upgrade(alembic_config(connection), target)


def downgrade(engine: Engine, target: str) -> None:
    """Migrate back to `target`, or to nothing at all with "base"."""
    with engine.begin() as connection:
        command.downgrade(alembic_config(connection), target)


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration, working on this connection and in its transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
