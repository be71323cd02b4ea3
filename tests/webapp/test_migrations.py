"""The schema: there and back again, equal to the models, and Procrastinate's own."""

import asyncio
import secrets
from pathlib import Path

import procrastinate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from webapp import migrate
from webapp.db import make_engine
from webapp.models import Base

THINGS = text("""
    SELECT 'class ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
""")
ALEMBICS_OWN = {
    "class alembic_version",
    "class alembic_version_pkc",
    "type alembic_version",
    "type _alembic_version",
}


@pytest.fixture
def engine(cluster):
    name = f"test_{secrets.token_hex(4)}"
    asyncio.run(cluster.create_database(name))
    engine = make_engine(cluster.admin_dsn(name))
    yield engine
    engine.dispose()
    asyncio.run(cluster.drop_database(name))


def things(engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(THINGS))


def test_up_down_and_up_again(engine):
    migrate.upgrade(engine)
    first = things(engine)
    migrate.downgrade(engine, "base")
    assert things(engine) == ALEMBICS_OWN
    migrate.upgrade(engine)
    migrate.upgrade(engine)
    assert things(engine) == first


def test_the_models_are_the_schema(engine):
    migrate.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: (
                    not (kind == "table" and name.startswith("procrastinate_"))
                ),
            },
        )
        assert compare_metadata(context, Base.metadata) == []


def test_procrastinates_schema_is_that_of_the_package():
    """When this fails after an upgrade, add a migration with the package's new files."""
    ours = Path(migrate.__file__).parent / "migrations/versions/0001_procrastinate_3_10.sql"
    theirs = Path(procrastinate.__file__).parent / "sql/schema.sql"
    assert ours.read_text() == theirs.read_text()
