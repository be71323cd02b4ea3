"""Commands and questions. Whoever appends to an account holds the row of its stream until the end
of the transaction, so decisions about one account come one after another."""

import os
import threading

import psycopg
from psycopg.errors import DeadlockDetected, SerializationFailure
from psycopg.types.json import Jsonb

from log import balance_at, events_between, tell, version_at

TABLES = """
    create table if not exists streams (account text primary key);
    create table if not exists outbox (entry bigserial primary key, body jsonb not null);
"""
connections = threading.BoundedSemaphore(8)


def connect():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def create_tables():
    with connect() as db, db.transaction():
        db.execute("select pg_advisory_xact_lock(1)")  # two instances may start at once
        db.execute(TABLES)


def deposit(db, event):
    """Append a deposit unless it is there. A passing error of the database is tried again."""
    with_retries(db, event["account"], lambda: decide_deposit(db, event))


def withdraw(account, command):
    """Status and body of the answer to a withdrawal."""
    with connections, connect() as db:
        return with_retries(db, account, lambda: decide_withdrawal(db, account, command))


def with_retries(db, account, decide):
    while True:
        try:
            with db.transaction():
                db.execute("insert into streams values (%s) on conflict do nothing", (account,))
                db.execute("select from streams where account = %s for update", (account,))
                return decide()
        except (SerializationFailure, DeadlockDetected) as error:
            print("once more:", error)


def decide_deposit(db, event):
    if known_version(db, event["id"]) is None:
        version = version_at(db, event["account"], {})
        append(db, event["account"], version + 1, event["id"], "deposited", event["amount"])


def decide_withdrawal(db, account, command):
    if (known := known_version(db, command["id"])) is not None:
        return 201, {"version": known, "balance": balance_at(db, account, known)}
    version = version_at(db, account, {})
    if command.get("expected_version", version) != version:
        return 409, {"error": "the account has changed", "version": version}
    balance = balance_at(db, account, version) - command["amount"]
    if balance < 0:
        return 422, {"error": "there is not enough money", "version": version}
    append(db, account, version + 1, command["id"], "withdrawn", command["amount"])
    return 201, {"version": version + 1, "balance": balance}


def known_version(db, command):
    """The version of a command's event; None when it has none."""
    row = db.execute("select version from events where command_id = %s", (command,)).fetchone()
    return row and row[0]


def append(db, account, version, command, type, amount):
    """The event, what is to be published of it, and the snapshot when one is due."""
    db.execute(
        "insert into events (account, version, command_id, type, data) values (%s, %s, %s, %s, %s)",
        (account, version, command, type, Jsonb({"amount": amount})))
    body = {"id": command, "account": account, "version": version, "type": type, "amount": amount}
    db.execute("insert into outbox (body) values (%s)", (Jsonb(body),))
    last = db.execute("select coalesce(max(version), 0) from snapshots where account = %s",
                      (account,)).fetchone()[0]
    if version - last >= 20:
        try:
            with db.transaction():
                db.execute("insert into snapshots values (%s, %s, %s)",
                           (account, version, balance_at(db, account, version)))
        except psycopg.Error as error:
            print("no snapshot this time:", error)


def state(account, query):
    with connections, connect() as db:
        version = version_at(db, account, query)
        if not version:
            return 404, {"error": "there is no such account at that moment"}
        balance = balance_at(db, account, version)
        return 200, {"account": account, "version": version, "balance": balance}


def history(account, query):
    with connections, connect() as db:
        version = version_at(db, account, query)
        if not version:
            return 404, {"error": "there is no such account at that moment"}
        events = [tell(event) for event in events_between(db, account, 0, version)]
        return 200, {"account": account, "version": version, "events": events}
