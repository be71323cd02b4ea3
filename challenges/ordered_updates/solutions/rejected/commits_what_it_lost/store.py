"""Applying a change: its row and the item's version change in one transaction."""

import logging
import os
import threading

import psycopg

log = logging.getLogger("store")
local = threading.local()

NEXT_VERSION = """
    insert into item_versions (item, version) values (%(item)s, %(version)s)
    on conflict (item) do update set version = excluded.version
    where item_versions.version = excluded.version - 1
"""
ROW = """
    insert into applied (change_id, item, version, stock)
    values (%(id)s, %(item)s, %(version)s, %(stock)s)
"""


def connection():
    """This thread's own connection."""
    if not hasattr(local, "db") or local.db.closed:
        local.db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    return local.db


def create_table():
    with connection().transaction():
        connection().execute("select pg_advisory_xact_lock(7)")  # two instances may start at once
        connection().execute(
            "create table if not exists item_versions (item text primary key, version bigint)")


def apply(change):
    """Apply a change unless it is applied. The item's row is locked until the end, so another
    instance with the same change waits, and then finds it done."""
    for _ in range(10):
        try:
            with connection().transaction():
                if connection().execute(NEXT_VERSION, change).rowcount:
                    connection().execute(ROW, change)
                return
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
            log.warning("%s: %s", change["id"], error)
    raise RuntimeError(f"{change['id']} could not be applied")
