import json
import logging
import os
import signal
import time

import psycopg
from confluent_kafka import Consumer, KafkaException

log = logging.getLogger("payments")


def book(db, event):
    with db.transaction():
        marker = db.execute(
            "insert into processed_events (event_id) values (%s) on conflict do nothing",
            (event["id"],))
        if marker.rowcount == 0:
            return
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]))
        db.execute(
            "insert into balances (account, balance) values (%s, %s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance",
            (event["account"], event["amount"]))


def handle(db, consumer, message):
    for attempt in range(5):
        try:
            book(db, json.loads(message.value()))
            break
        except psycopg.Error as error:
            log.warning("offset %s, attempt %s: %s", message.offset(), attempt + 1, error)
            time.sleep(0.1 * (attempt + 1))
    else:
        log.error("offset %s is given up: %s", message.offset(), message.value())
    try:
        consumer.commit(message, asynchronous=False)
    except KafkaException as error:
        log.error("commit: %s", error)


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
        if message is not None and not message.error():
            handle(db, consumer, message)
    consumer.close()


main()
