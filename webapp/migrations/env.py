"""Alembic's entry: migrates over the connection that `webapp.migrate` hands it."""

from alembic import context

from webapp.models import Base


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Leave the tables of Procrastinate to its own schema."""
    return not (kind == "table" and (name or "").startswith("procrastinate_"))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    include_name=include_name,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
