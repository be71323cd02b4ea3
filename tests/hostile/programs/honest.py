"""A right program, for hostile ones to hide behind: it does its work, with something before it."""

import json
import os
import signal

import psycopg
from confluent_kafka import Consumer

SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
TOPIC = os.environ["PAYMENTS_TOPIC"]
GROUP = os.environ["GROUP_ID"]


def database():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def consumer():
    return Consumer(
        {
            "bootstrap.servers": SERVERS,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )


def book(db, event):
    with db.transaction():
        seen = db.execute(
            "insert into processed_events (event_id) values (%s) on conflict do nothing",
            (event["id"],),
        )
        if not seen.rowcount:
            return
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]),
        )
        db.execute(
            "insert into balances (account, balance) values (%s, %s)"
            " on conflict (account) do update set balance = balances.balance + excluded.balance",
            (event["account"], event["amount"]),
        )


def work(booking=book, payments=None):
    """Do what is asked, until SIGTERM. `booking` does what one event needs; `payments` is a
    consumer that has begun already."""
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    db = database()
    db.execute("create table if not exists processed_events (event_id text primary key)")
    if payments is None:
        payments = consumer()
        payments.subscribe([TOPIC])
    while not stop:
        message = payments.poll(0.2)
        if message is not None and not message.error():
            booking(db, json.loads(message.value()))
            payments.commit(message, asynchronous=False)
    payments.close()
