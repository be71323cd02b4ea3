"""An orchestrator that reads a saga's row, sends what follows, and writes the row."""

import json
import os
import signal
import uuid

import psycopg
from confluent_kafka import Consumer, Producer

import saga

BROKER = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
ME = os.environ["INSTANCE_ID"]
OVERDUE_S = 2.2
AGAIN_S = 0.4

TABLES = """
    create table if not exists sagas (
        order_id text primary key,
        body     jsonb not null,
        state    text not null,
        owner    text,
        due      timestamptz
    )
"""


def topic(name):
    return os.environ[name + "_TOPIC"]


class Ids(dict):
    """The ids of an order's commands, by action: the same ones each time."""

    def __init__(self, order):
        self.order = order

    def __missing__(self, action):
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.order}/{action}"))


class Orchestrator:
    def __init__(self):
        self.running = True
        self.db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        with self.db.transaction():
            self.db.execute("select pg_advisory_xact_lock(1)")
            self.db.execute(TABLES)
        self.producer = Producer({**BROKER, "enable.idempotence": True, "linger.ms": 2})
        self.consumer = Consumer({
            **BROKER,
            "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })

    def stop(self, *_):
        self.running = False

    def run(self):
        self.consumer.subscribe([topic("ORDERS"), topic("REPLIES")])
        while self.running:
            for message in self.consumer.consume(50, timeout=0.1):
                if message.error() is None:
                    value = json.loads(message.value())
                    self.begin(value) if message.topic() == topic("ORDERS") else self.reply(value)
                    self.consumer.commit(message)
            self.overdue()
        self.consumer.close()

    def begin(self, order):
        new = self.db.execute(
            "insert into sagas values (%s, %s, %s, %s, now()) on conflict do nothing",
            (order["id"], json.dumps(order), saga.FIRST, ME),
        ).rowcount
        if new:
            self.enter(order, saga.FIRST)

    def reply(self, reply):
        row = self.db.execute(
            "select body, state from sagas where order_id = %s", (reply["order"],)
        ).fetchone()
        if row is None or Ids(reply["order"])[row[1]] != reply["command"]:
            return
        if reply["status"] == "unavailable":
            self.db.execute(
                "update sagas set due = now() + make_interval(secs => %s) where order_id = %s",
                (AGAIN_S, reply["order"]),
            )
        else:
            self.enter(row[0], saga.after(row[1], reply["status"]))

    def overdue(self):
        """Act on overdue replies to this instance's commands, and later on those to others'."""
        rows = self.db.execute(
            "select body, state from sagas where due < now()"
            " and (owner = %s or due < now() - interval '6 seconds')", (ME,),
        ).fetchall()
        for order, state in rows:
            self.enter(order, saga.after(state, "overdue"))

    def enter(self, order, state):
        if state in saga.ENDS:
            self.send("ORDER_OUTCOMES", order, {"order": order["id"], "outcome": state})
            wait = None
        else:
            command = saga.command(order, state, Ids(order["id"]))
            self.send(saga.SERVICE[state] + "_COMMANDS", order, command)
            wait = OVERDUE_S
        self.db.execute(
            "update sagas set state = %s, owner = %s, due = now() + make_interval(secs => %s)"
            " where order_id = %s",
            (state, ME, wait, order["id"]),
        )

    def send(self, where, order, value):
        failed = []
        self.producer.produce(
            topic(where), json.dumps(value), order["id"],
            on_delivery=lambda error, _: error and failed.append(error),
        )
        if self.producer.flush(20) or failed:
            raise RuntimeError(f"not written: {failed}")


orchestrator = Orchestrator()
signal.signal(signal.SIGTERM, orchestrator.stop)
orchestrator.run()
