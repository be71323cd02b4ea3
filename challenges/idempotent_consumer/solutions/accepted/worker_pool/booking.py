"""The database side: one connection per worker thread, one transaction per event."""

import logging
import os
import threading

import psycopg

log = logging.getLogger("payments")
local = threading.local()


def connection():
    if not hasattr(local, "db"):
        local.db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    return local.db


def create_table():
    with connection() as db, db.transaction():
        db.execute("select pg_advisory_xact_lock(848)")  # two instances may start at once
        db.execute("create table if not exists processed_events (event_id text primary key)")


def book(event):
    """Book the event unless it is booked. A passing database error is tried again, 5 times."""
    for _ in range(5):
        try:
            with connection().transaction():
                return book_once(connection(), event)
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
            log.warning("%s: %s", event["id"], error)
    raise RuntimeError(f"{event['id']} could not be booked")


def book_once(db, event):
    fresh = db.execute(
        "insert into processed_events (event_id) values (%s) on conflict do nothing",
        (event["id"],)).rowcount
    if not fresh:
        return
    db.execute("insert into ledger (event_id, account, amount) values (%s, %s, %s)",
               (event["id"], event["account"], event["amount"]))
    db.execute("insert into balances (account, balance) values (%s, %s) on conflict (account)"
               " do update set balance = balances.balance + excluded.balance",
               (event["account"], event["amount"]))
