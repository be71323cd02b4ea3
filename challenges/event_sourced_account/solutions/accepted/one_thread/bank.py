"""The bank: an append is one statement that inserts only if the version is still the one that was
read; a unique index of the bank's own settles what two such statements see at once."""

from datetime import datetime
from decimal import Decimal

from psycopg.errors import SerializationFailure, UniqueViolation
from psycopg.types.json import Jsonb

TABLES = """
    select pg_advisory_xact_lock(5);
    create table if not exists log_index (
        account text, version int, body jsonb not null, published boolean not null default false,
        number bigserial, primary key (account, version));
"""
APPEND = """
    with claim as (
        insert into log_index (account, version, body)
        select %(account)s, %(version)s, %(body)s
        where %(version)s = 1 + (
            select coalesce(max(version), 0) from events where account = %(account)s)
        returning account, version
    )
    insert into events (account, version, command_id, type, data)
    select account, version, %(id)s, %(type)s, %(data)s from claim
"""
READ = """
    select version, command_id, type, format, data, recorded_at from events
    where account = %s order by version
"""


class Bank:
    def __init__(self, db):
        self.db = db
        with db.transaction():
            for statement in filter(str.strip, TABLES.split(";")):
                db.execute(statement)

    def read(self, account):
        with self.db.transaction():
            rows = self.db.execute(READ, (account,)).fetchall()
        return [upcast(row) for row in rows]

    def deposit(self, event):
        """Whether the deposit is in the log; if not, it has to be tried again."""
        log = self.read(event["account"])
        if any(entry["command_id"] == event["id"] for entry in log):
            return True
        return self.append(event["account"], log, event["id"], "deposited", event["amount"])

    def withdraw(self, account, command):
        while True:
            log = self.read(account)
            for entry in log:
                if entry["command_id"] == command["id"]:
                    version = entry["version"]
                    return 201, {"version": version, "balance": balance_of(log[:version])}
            if command.get("expected_version", len(log)) != len(log):
                return 409, {"version": len(log)}
            balance = balance_of(log) - command["amount"]
            if balance < 0:
                return 422, {"missing": -balance}
            if self.append(account, log, command["id"], "withdrawn", command["amount"]):
                return 201, {"version": len(log) + 1, "balance": balance}

    def append(self, account, log, id, type, amount):
        version = len(log) + 1
        body = {"id": id, "account": account, "version": version, "type": type, "amount": amount}
        try:
            with self.db.transaction():
                appended = self.db.execute(
                    APPEND, body | {"body": Jsonb(body), "data": Jsonb({"amount": amount})})
                if not appended.rowcount:
                    return False
                if version % 20 == 0:
                    sign = 1 if type == "deposited" else -1
                    self.db.execute("insert into snapshots values (%s, %s, %s)",
                                    (account, version, balance_of(log) + sign * amount))
            return True
        except (UniqueViolation, SerializationFailure):
            return False

    def look(self, account, query, history):
        log = self.read(account)
        if "at" in query:
            at = datetime.fromisoformat(query["at"])
            log = log[:max((e["version"] for e in log if e["recorded_at"] <= at), default=0)]
        elif "version" in query:
            version = int(query["version"])
            log = log[:version] if version <= len(log) else []
        if not log:
            return 404, {}
        body = {"account": account, "version": len(log)}
        if history:
            names = ("version", "type", "amount")
            return 200, body | {"events": [{name: e[name] for name in names} for e in log]}
        return 200, body | {"balance": balance_of(log)}

    def unpublished(self):
        with self.db.transaction():
            rows = self.db.execute(
                "select number, body from log_index where not published order by number limit 50"
            ).fetchall()
        return [(row["number"], row["body"]) for row in rows]

    def was_published(self, numbers):
        with self.db.transaction():
            self.db.execute(
                "update log_index set published = true where number = any(%s)", (numbers,))


def upcast(row):
    amount = row["data"]["amount"]
    if row["format"] == 1:
        cents = int(Decimal(amount) * 100)
        return row | {"type": "withdrawn" if cents < 0 else "deposited", "amount": abs(cents)}
    return row | {"amount": amount}


def balance_of(log):
    return sum(e["amount"] if e["type"] == "deposited" else -e["amount"] for e in log)
