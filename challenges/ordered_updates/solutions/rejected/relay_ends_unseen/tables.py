"""The tables, as SQLAlchemy sees them."""

import os

from sqlalchemy import (
    BigInteger, Column, MetaData, String, Table, Text, create_engine, text)

metadata = MetaData()
applied = Table(
    "applied", MetaData(), Column("entry", BigInteger, primary_key=True),
    Column("change_id", String), Column("item", String), Column("version", BigInteger),
    Column("stock", BigInteger))
last_version = Table(
    "last_version", metadata, Column("item", String, primary_key=True),
    Column("version", BigInteger, nullable=False))
outbox = Table(
    "outbox", metadata, Column("number", BigInteger, primary_key=True, autoincrement=True),
    Column("item", String, nullable=False), Column("body", Text, nullable=False))


def make_engine():
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
    return create_engine(url, pool_size=14, max_overflow=0)


def create_tables(engine):
    with engine.begin() as db:
        db.execute(text("select pg_advisory_xact_lock(42)"))  # two instances may start at once
        metadata.create_all(db)
