import json
import os
import signal
import sys

import psycopg2
from kafka import KafkaConsumer


def consumer():
    return KafkaConsumer(
        os.environ["PAYMENTS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        value_deserializer=lambda value: json.loads(value.decode("utf-8")),
    )


def book(db, event):
    with db, db.cursor() as cursor:
        cursor.execute(
            "insert into processed_events values (%s) on conflict do nothing", (event["id"],))
        if cursor.rowcount == 0:
            return
        cursor.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]))
        cursor.execute(
            "insert into balances values (%s, %s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance",
            (event["account"], event["amount"]))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    db = psycopg2.connect(os.environ["DATABASE_URL"])
    with db, db.cursor() as cursor:
        cursor.execute(
            "create table if not exists processed_events (event_id text primary key)")
    kafka = consumer()
    for record in kafka:
        kafka.commit()  # take it off the topic first, so that nobody gets it a second time
        book(db, record.value)


main()
