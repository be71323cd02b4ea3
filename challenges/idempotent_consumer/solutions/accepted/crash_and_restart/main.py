"""Books payments, and dies at the first trouble: a restart goes on from the last commit."""

import json
import os
import signal
import sys

import psycopg2
from kafka import KafkaConsumer
from psycopg2.errors import UniqueViolation


def prepare():
    db = psycopg2.connect(os.environ["DATABASE_URL"])
    with db, db.cursor() as cursor:
        cursor.execute(
            "create table if not exists seen (id text primary key, at timestamptz default now())")
    return db


def book(db, event):
    """The marker is written last; when it exists the whole transaction is undone."""
    try:
        with db, db.cursor() as cursor:
            cursor.execute(
                "insert into ledger (event_id, account, amount)"
                " values (%(id)s, %(account)s, %(amount)s)", event)
            cursor.execute(
                "insert into balances values (%(account)s, %(amount)s) on conflict (account)"
                " do update set balance = balances.balance + excluded.balance", event)
            cursor.execute("insert into seen (id) values (%(id)s)", event)
    except UniqueViolation:
        print(event["id"], "was booked before")


def main():
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    db = prepare()
    consumer = KafkaConsumer(
        os.environ["PAYMENTS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    for record in consumer:
        book(db, json.loads(record.value))
        consumer.commit()


main()
