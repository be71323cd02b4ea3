"""Decisions and questions. An advisory lock on the account orders those who append to it."""

import json
import os
import threading
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import create_engine, text

from events import change

TABLES = """
    create table if not exists pending (number bigserial primary key, body text not null)
"""


@dataclass(frozen=True)
class State:
    version: int = 0
    balance: int = 0

    def after(self, events):
        return State(self.version + len(events), self.balance + sum(map(change, events)))


class Store:
    def __init__(self, snapshot_is_due):
        url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://", 1)
        self.engine = create_engine(url, pool_size=6, max_overflow=4, pool_pre_ping=True)
        self.snapshot_is_due = snapshot_is_due
        self.states = {}
        self.mutex = threading.Lock()
        with self.engine.begin() as db:
            db.execute(text("select pg_advisory_xact_lock(77)"))
            db.execute(text(TABLES))

    def events(self, db, account, after=0):
        return db.execute(
            text("select version, type, format, data, recorded_at from events"
                 " where account = :account and version > :after order by version"),
            {"account": account, "after": after}).all()

    def state(self, db, account):
        """The account now: what is remembered, and the events since. What is read inside a
        transaction that has appended is not remembered, for it may be rolled back."""
        with self.mutex:
            known = self.states.get(account, State())
        return known.after(self.events(db, account, known.version))

    def remember(self, account, state):
        with self.mutex:
            if state.version > self.states.get(account, State()).version:
                self.states[account] = state

    def lock(self, db, account):
        db.execute(text("select pg_advisory_xact_lock(hashtextextended(:a, 0))"), {"a": account})

    def deposit(self, events):
        """A batch, in one transaction. Accounts are locked in the order of their names."""
        due = []
        with self.engine.begin() as db:
            for account in sorted({event["account"] for event in events}):
                self.lock(db, account)
            for event in events:
                if self.version_of(db, event["id"]) is None:
                    state = self.state(db, event["account"])
                    due += self.append(db, state, event["account"], event["id"], event["amount"])
        self.snapshot_is_due(due)

    def withdraw(self, account, command):
        with self.engine.begin() as db:
            self.lock(db, account)
            state = self.state(db, account)
            self.remember(account, state)
            version = self.version_of(db, command["id"])
            if version is not None:
                return 201, {"version": version, "balance": self.balance_at(db, account, version)}
            if command.get("expected_version", state.version) != state.version:
                return 409, {"at": state.version}
            if state.balance < command["amount"]:
                return 422, {"have": state.balance}
            due = self.append(db, state, account, command["id"], -command["amount"])
        self.snapshot_is_due(due)
        left = state.balance - command["amount"]
        return 201, {"version": state.version + 1, "balance": left}

    def version_of(self, db, command):
        return db.execute(
            text("select version from events where command_id = :id"), {"id": command}).scalar()

    def append(self, db, state, account, command, cents):
        """Appends; the snapshot that is due now, if one is."""
        version, type = state.version + 1, "deposited" if cents > 0 else "withdrawn"
        db.execute(
            text("insert into events (account, version, command_id, type, data)"
                 " values (:account, :version, :id, :type, cast(:data as jsonb))"),
            {"account": account, "version": version, "id": command, "type": type,
             "data": json.dumps({"amount": abs(cents)})})
        body = {"id": command, "account": account, "version": version, "type": type,
                "amount": abs(cents)}
        db.execute(text("insert into pending (body) values (:body)"), {"body": json.dumps(body)})
        return [(account, version)] if version % 20 == 0 else []

    def balance_at(self, db, account, version):
        return State().after(self.events(db, account)[:version]).balance

    def as_of(self, account, query):
        """The events of an account until the moment of a query."""
        with self.engine.connect() as db:
            events = self.events(db, account)
        if "version" in query:
            version = int(query["version"])
            return events[:version] if version <= len(events) else []
        if "at" in query:
            at = datetime.fromisoformat(query["at"])
            latest = max((e.version for e in events if e.recorded_at <= at), default=0)
            return events[:latest]
        return events
