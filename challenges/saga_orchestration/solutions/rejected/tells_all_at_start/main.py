"""A batch is worked on by a pool of threads; a start makes up for what a crash may have lost."""

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
from kafka import KafkaConsumer, KafkaProducer
from psycopg.rows import dict_row

BROKER = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
THREADS = 4
AFTER_DONE = {
    "reserve": "charge", "charge": "ship", "ship": "deduct", "deduct": "completed",
    "refund": "release", "release": "cancelled",
}
AFTER_REFUSED = {"reserve": "cancelled", "charge": "release", "ship": "refund"}
SERVICE = {"charge": "PAYMENT", "refund": "PAYMENT", "ship": "SHIPPING"}

TABLE = """
    create table if not exists sagas (
        id text primary key, ordered jsonb not null, action text not null,
        asked_at timestamptz not null default now(), over boolean not null default false
    )
"""

local = threading.local()
producer = KafkaProducer(bootstrap_servers=BROKER, acks="all", linger_ms=0)


def database():
    if not hasattr(local, "db"):
        local.db = psycopg.connect(
            os.environ["DATABASE_URL"], autocommit=True, row_factory=dict_row
        )
    return local.db


def id_of(order, action):
    return f"{order}.{action}"


def write(saga, action):
    """Ask for an action, or tell the outcome; returns when the broker has it."""
    order = saga["ordered"]
    if action in ("completed", "cancelled"):
        topic, value = "ORDER_OUTCOMES", {"order": order["id"], "outcome": action}
    else:
        topic = SERVICE.get(action, "STOCK") + "_COMMANDS"
        value = {"id": id_of(order["id"], action), "order": order["id"], "action": action}
        if action in ("reserve", "deduct"):
            value.update(sku=order["sku"], quantity=order["quantity"])
        elif action == "charge":
            value.update(customer=order["customer"], amount=order["amount"])
        elif action == "ship":
            value.update(customer=order["customer"])
        else:
            undone = "charge" if action == "refund" else "reserve"
            value.update(undoes=id_of(order["id"], undone))
    key = order["id"].encode()
    producer.send(os.environ[topic + "_TOPIC"], json.dumps(value).encode(), key).get(20)


def locked(db, id):
    return db.execute("select * from sagas where id = %s for update", (id,)).fetchone()


def on_order(order):
    db = database()
    with db.transaction():
        fresh = db.execute(
            "insert into sagas (id, ordered, action) values (%s, %s, 'reserve')"
            " on conflict do nothing returning *", (order["id"], json.dumps(order)),
        ).fetchone()
        if fresh:
            write(fresh, "reserve")


def on_reply(reply):
    db = database()
    with db.transaction():
        saga = locked(db, reply["order"])
        if saga is None or saga["over"]:
            return
        if reply["command"] != id_of(saga["id"], saga["action"]):
            return
        if reply["status"] != "unavailable":
            table = AFTER_DONE if reply["status"] == "done" else AFTER_REFUSED
            enter(db, saga, table[saga["action"]])


def enter(db, saga, action):
    write(saga, action)
    db.execute(
        "update sagas set action = %s, asked_at = now(), over = %s where id = %s",
        (action, action in ("completed", "cancelled"), saga["id"]),
    )


def ask_again(db, pause):
    """Ask again for what has had no reply for `pause` seconds."""
    with db.transaction():
        rows = db.execute(
            "select * from sagas where not over and asked_at < now() - %s * interval '1 second'"
            " limit 20 for update skip locked", (pause,),
        ).fetchall()
        for saga in rows:
            enter(db, saga, saga["action"])


def by_order(batch):
    """The batch's messages, in their order, by the order that they are about."""
    found = {}
    for record in (r for records in batch.values() for r in records):
        found.setdefault(record.key, []).append(record)
    return found.values()


def work(records):
    for record in records:
        handle = on_order if record.topic == os.environ["ORDERS_TOPIC"] else on_reply
        handle(json.loads(record.value))


def create_table():
    try:
        database().execute(TABLE)
    except psycopg.errors.UniqueViolation:
        pass  # another instance has just made it


def main():
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    create_table()
    consumer = KafkaConsumer(
        os.environ["ORDERS_TOPIC"], os.environ["REPLIES_TOPIC"],
        bootstrap_servers=BROKER, group_id=os.environ["GROUP_ID"],
        enable_auto_commit=False, auto_offset_reset="earliest", max_poll_records=40,
    )
    for saga in database().execute("select * from sagas where over").fetchall():
        write(saga, saga["action"])  # it may have been lost in a crash
    looked = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        while not stop.is_set():
            batch = consumer.poll(timeout_ms=200)
            list(pool.map(work, by_order(batch)))
            if batch:
                consumer.commit()
            if time.monotonic() - looked > 0.5:
                looked = time.monotonic()
                ask_again(database(), 2.0)
    consumer.close()
    producer.close()


main()
