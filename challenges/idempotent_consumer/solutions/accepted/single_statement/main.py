"""Books payments with one SQL statement each; librdkafka commits stored offsets on its timer.

An offset is stored only after its event is booked, so the timer never runs ahead of the effect.
"""

import json
import os
import signal
import sys

import psycopg
from confluent_kafka import Consumer, KafkaException

BOOK = """
    with fresh as (
        insert into processed_events (event_id) values (%(id)s)
        on conflict do nothing returning event_id
    ), entry as (
        insert into ledger (event_id, account, amount)
        select event_id, %(account)s, %(amount)s from fresh
    )
    insert into balances (account, balance)
    select %(account)s, %(amount)s from fresh
    on conflict (account) do update set balance = balances.balance + excluded.balance
"""
CONFIG = {
    "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
    "group.id": os.environ["GROUP_ID"],
    "client.id": os.environ["INSTANCE_ID"],
    "partition.assignment.strategy": "cooperative-sticky",
    "auto.offset.reset": "earliest",
    "enable.auto.commit": True,
    "auto.commit.interval.ms": 500,
    "enable.auto.offset.store": False,
}


def store_offset(consumer, message):
    try:
        consumer.store_offsets(message)
    except KafkaException as error:
        print("partition taken away:", error, file=sys.stderr)


def main():
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    consumer = Consumer(CONFIG)
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
        db.execute("create table if not exists processed_events (event_id text primary key)")
        try:
            while True:
                message = consumer.poll(0.2)
                if message is not None and message.error() is None:
                    db.execute(BOOK, json.loads(message.value()))
                    store_offset(consumer, message)
        finally:
            consumer.close()


main()
