"""The table of records that have no outcome yet."""

import os

import psycopg
from psycopg.types.json import Jsonb

TABLE = """
    create table if not exists inbox (
        partition  int not null,
        position   bigint not null,
        customer   bytea,
        value      bytea,
        headers    jsonb not null,
        attempts   int not null default 0,
        due_at     timestamptz not null default clock_timestamp(),
        is_done    boolean not null default false,
        primary key (partition, position)
    )
"""
OLDEST = """
    select partition, position, customer, value, headers, attempts from inbox i
    where not is_done and due_at <= clock_timestamp() and not exists (
        select from inbox o where o.partition = i.partition and o.customer = i.customer
        and not o.is_done and o.position < i.position)
    order by due_at limit 1 for update skip locked
"""


def connect():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def create():
    with connect() as db, db.transaction():
        db.execute("select pg_advisory_xact_lock(77)")
        db.execute(TABLE)


def store(db, records):
    """Keep records; those that are known stay as they are."""
    rows = [
        (r.partition, r.offset, r.key, r.value, Jsonb([[n, (v or b"").hex()] for n, v in r.headers]))
        for r in records
    ]
    with db.transaction(), db.cursor() as cursor:
        cursor.executemany(
            "insert into inbox (partition, position, customer, value, headers)"
            " values (%s, %s, %s, %s, %s) on conflict do nothing", rows)


def take(db):
    """The oldest record that may be worked on, locked until the transaction ends; None if none."""
    return db.execute(OLDEST).fetchone()


def finish(db, partition, position):
    db.execute("update inbox set is_done = true, value = null"
               " where (partition, position) = (%s, %s)", (partition, position))


def postpone(db, partition, position, attempts, pause):
    db.execute("update inbox set attempts = %s, due_at = clock_timestamp() + %s * interval '1 s'"
               " where (partition, position) = (%s, %s)", (attempts, pause, partition, position))
