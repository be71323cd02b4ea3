import json
import os
import signal
import sys
from contextlib import closing

import psycopg2
from kafka import KafkaConsumer


def book(db, event):
    with db, db.cursor() as cursor:
        cursor.execute(
            "insert into processed_events (event_id) values (%(id)s) on conflict do nothing",
            event)
        if cursor.rowcount == 0:
            return
        cursor.execute(
            "insert into ledger (event_id, account, amount)"
            " values (%(id)s, %(account)s, %(amount)s)", event)
        cursor.execute(
            "insert into balances values (%(account)s, %(amount)s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance", event)


def consume(db):
    consumer = KafkaConsumer(
        os.environ["PAYMENTS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        auto_offset_reset="earliest",
        auto_commit_interval_ms=1000,
    )
    # The client commits in the polls between records and when it is closed, never during one.
    with closing(consumer):
        for record in consumer:
            book(db, json.loads(record.value))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with closing(psycopg2.connect(os.environ["DATABASE_URL"])) as db:
        with db, db.cursor() as cursor:
            cursor.execute(
                "create table if not exists processed_events (event_id text primary key)")
        consume(db)


main()
