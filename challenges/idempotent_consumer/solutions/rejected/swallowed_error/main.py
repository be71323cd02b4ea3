import json
import logging
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException

logging.basicConfig(level=logging.INFO)
log = logging.getLogger(__name__)


def process(db, event):
    with db.transaction():
        result = db.execute(
            "insert into processed_events (event_id) values (%s) on conflict do nothing",
            (event["id"],),
        )
        if result.rowcount == 0:
            log.info("duplicate %s", event["id"])
            return
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]),
        )
        db.execute(
            "insert into balances (account, balance) values (%s, %s) on conflict (account)"
            " do update set balance = balances.balance + excluded.balance",
            (event["account"], event["amount"]),
        )


def main():
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
        try:
            process(db, json.loads(message.value()))
        except Exception:
            # One bad event must not stop the whole service.
            log.exception("could not process %s", message.value())
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            log.warning("commit: %s", error)
    consumer.close()


main()
