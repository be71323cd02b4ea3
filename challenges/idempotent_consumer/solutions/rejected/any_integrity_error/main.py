import json
import logging
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

log = logging.getLogger("payments")


def write(db, event):
    db.execute(
        "insert into processed_events (event_id) values (%s)", (event["id"],))
    db.execute(
        "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
        (event["id"], event["account"], event["amount"]))
    changed = db.execute(
        "update balances set balance = balance + %s where account = %s",
        (event["amount"], event["account"]))
    if changed.rowcount == 0:
        db.execute(
            "insert into balances (account, balance) values (%s, %s)",
            (event["account"], event["amount"]))


def book(db, event):
    try:
        with db.transaction():
            write(db, event)
    except psycopg.errors.IntegrityError:
        log.info("%s was booked before", event["id"])


def main():
    logging.basicConfig(level=logging.INFO)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    db.execute("create table if not exists processed_events (event_id text primary key)")
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while not stop:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        book(db, json.loads(message.value()))
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            log.warning("commit failed: %s", error)
    consumer.close()


main()
