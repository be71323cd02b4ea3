"""The journal of each order: what was decided, in order. Nothing is ever changed in it."""

import os

from sqlalchemy import (
    JSON, Column, DateTime, Integer, MetaData, String, Table, create_engine, func, insert, select, text,
)
from sqlalchemy.exc import IntegrityError

metadata = MetaData()
journal = Table(
    "journal", metadata,
    Column("order_id", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("entry", String, nullable=False),
    Column("details", JSON),
    Column("at", DateTime(timezone=True), server_default=func.now()),
)


class Journal:
    def __init__(self):
        url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
        self.engine = create_engine(url, pool_size=2)
        with self.engine.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock(42)"))
            metadata.create_all(connection)

    def read(self, order_id):
        """The entries of an order: [(entry, details, at)]."""
        statement = (
            select(journal.c.entry, journal.c.details, journal.c.at)
            .where(journal.c.order_id == order_id)
            .order_by(journal.c.number)
        )
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(statement)]

    def append(self, order_id, number, entry, details=None):
        """Add the entry with this number; False when somebody else has added that one."""
        row = {"order_id": order_id, "number": number, "entry": entry, "details": details}
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(journal).values(row))
        except IntegrityError:
            return False
        return True

    def unfinished(self):
        """The orders whose last entry is older than 2.3 s and does not say that all is told."""
        statement = text("""
            select order_id from (
                select distinct on (order_id) order_id, entry, at from journal
                order by order_id, number desc
            ) last where entry <> 'told' and at < now() - interval '2.3 seconds'
        """)
        with self.engine.begin() as connection:
            return [row[0] for row in connection.execute(statement)]
