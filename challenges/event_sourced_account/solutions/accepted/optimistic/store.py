"""Reads and appends. An append claims its version; a version that is taken means: read again."""

import os

import psycopg2
from psycopg2.errors import SerializationFailure, UniqueViolation
from psycopg2.extras import Json

from account import Account

TABLES = """
    create table if not exists claims (
        account text, version int, primary key (account, version));
    create table if not exists published (entry bigint primary key);
    create table if not exists beginning (entry bigint not null, one int primary key default 1);
    insert into beginning select coalesce(max(entry), 0) from events on conflict do nothing;
"""
SELECT = """
    select version, command_id, type, format, data, recorded_at from events
    where account = %s order by version
"""


def connect():
    db = psycopg2.connect(os.environ["DATABASE_URL"])
    db.autocommit = True
    return db


def prepare():
    db = connect()
    db.autocommit = False
    with db, db.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(9)")
        cursor.execute(TABLES)
    db.close()


def read(db, account):
    """The account as the log has it now."""
    with db.cursor() as cursor:
        cursor.execute(SELECT, (account,))
        return Account(account, cursor.fetchall())


def deposit(db, event):
    while True:
        account = read(db, event["account"])
        if account.event_of(event["id"]):
            return
        if append(db, account, event["id"], "deposited", event["amount"]):
            return


def withdraw(db, name, command):
    while True:
        account = read(db, name)
        if known := account.event_of(command["id"]):
            version = known["version"]
            return 201, {"version": version, "balance": account.until(version).balance}
        if command.get("expected_version", account.version) != account.version:
            return 409, {"error": f"version {account.version}"}
        if account.balance < command["amount"]:
            return 422, {"error": "insufficient funds"}
        if append(db, account, command["id"], "withdrawn", command["amount"]):
            left = account.balance - command["amount"]
            return 201, {"version": account.version + 1, "balance": left}


def append(db, account, command, type, amount):
    """Whether the event got the next version. If not, somebody else has it."""
    version = account.version + 1
    try:
        with db.cursor() as cursor:
            cursor.execute("begin")
            cursor.execute("insert into claims values (%s, %s)", (account.name, version))
            cursor.execute(
                "insert into events (account, version, command_id, type, data)"
                " values (%s, %s, %s, %s, %s)",
                (account.name, version, command, type, Json({"amount": amount})))
            cursor.execute("commit")
    except (UniqueViolation, SerializationFailure):
        with db.cursor() as cursor:
            cursor.execute("rollback")
        return False
    if version % 20 == 0:
        snapshot(db, account.name, version)
    return True


def snapshot(db, name, version):
    balance = read(db, name).until(version).balance
    with db.cursor() as cursor:
        cursor.execute("insert into snapshots (account, version, balance) values (%s, %s, %s)",
                       (name, version, balance))
