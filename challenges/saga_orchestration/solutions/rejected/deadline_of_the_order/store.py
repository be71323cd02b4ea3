"""Sagas and outbox in PostgreSQL. Every change of a saga writes its message in the same transaction."""

import json
import os
import uuid

import psycopg

import saga

OVERDUE_S = 2.2
AGAIN_S = 0.4

TABLES = """
    create table if not exists sagas (
        order_id text primary key,
        body     jsonb not null,
        state    text not null,
        ids      jsonb not null,
        due      timestamptz
    );
    create index if not exists sagas_due on sagas (due) where due is not null;
    create table if not exists outbox (
        number   bigserial primary key,
        topic    text not null,
        order_id text not null,
        value    jsonb not null
    );
"""


class Store:
    def __init__(self):
        self.db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        with self.db.transaction():
            self.db.execute("select pg_advisory_xact_lock(1)")
            self.db.execute(TABLES)

    def begin(self, order):
        with self.db.transaction():
            new = self.db.execute(
                "insert into sagas values (%s, %s, %s, '{}', null) on conflict do nothing",
                (order["id"], json.dumps(order), saga.FIRST),
            ).rowcount
            if new:
                self.enter(order, saga.FIRST, {})

    def reply(self, reply):
        with self.db.transaction():
            row = self.db.execute(
                "select body, state, ids from sagas where order_id = %s for update",
                (reply["order"],),
            ).fetchone()
            if row is None:
                return
            order, state, ids = row
            if ids.get(state) != reply["command"]:
                return
            if reply["status"] == "unavailable":
                self.db.execute(
                    "update sagas set due = now() + make_interval(secs => %s) where order_id = %s",
                    (AGAIN_S, order["id"]),
                )
            else:
                self.enter(order, saga.after(state, reply["status"]), ids)

    def overdue(self):
        """Take up the sagas whose reply is overdue, or was "unavailable"."""
        with self.db.transaction():
            rows = self.db.execute(
                "select body, state, ids from sagas where due < now()"
                " order by due limit 50 for update skip locked"
            ).fetchall()
            for order, state, ids in rows:
                self.enter(order, saga.after(state, "overdue"), ids)

    def enter(self, order, state, ids):
        if state in saga.ENDS:
            self.write("ORDER_OUTCOMES", order, {"order": order["id"], "outcome": state})
            wait = None
        else:
            ids = {**ids, state: ids.get(state) or str(uuid.uuid4())}
            self.write(saga.SERVICE[state] + "_COMMANDS", order, saga.command(order, state, ids))
            wait = OVERDUE_S
        self.db.execute(
            "update sagas set state = %s, ids = %s, due = case when %s and due > now() then due"
            " else now() + make_interval(secs => %s) end where order_id = %s",
            (state, json.dumps(ids), state == "charge", wait, order["id"]),
        )

    def write(self, topic, order, value):
        self.db.execute(
            "insert into outbox (topic, order_id, value) values (%s, %s, %s)",
            (os.environ[topic + "_TOPIC"], order["id"], json.dumps(value)),
        )

    def publish(self, send):
        """Hand what waits in the outbox to `send`, and forget it once that has succeeded."""
        with self.db.transaction():
            rows = self.db.execute(
                "select number, topic, order_id, value from outbox order by number limit 100"
                " for update skip locked"
            ).fetchall()
            if rows:
                send([row[1:] for row in rows])
                self.db.execute(
                    "delete from outbox where number = any(%s)", ([row[0] for row in rows],)
                )
