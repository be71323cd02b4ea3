import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

BATCH = 30


def book(db, events):
    with db.transaction():
        for event in events:
            new = db.execute(
                "insert into processed_events (event_id) values (%(id)s) on conflict do nothing",
                event).rowcount
            if not new:
                continue
            db.execute(
                "insert into ledger (event_id, account, amount)"
                " values (%(id)s, %(account)s, %(amount)s)", event)
            db.execute(
                "insert into balances (account, balance) values (%(account)s, %(amount)s)"
                " on conflict (account)"
                " do update set balance = balances.balance + excluded.balance", event)


def last_offsets(messages):
    offsets = {}
    for message in messages:
        offsets[message.partition()] = message.offset()
    return [TopicPartition(messages[0].topic(), partition, offset)
            for partition, offset in offsets.items()]


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
        messages = [m for m in consumer.consume(BATCH, timeout=0.2) if m.error() is None]
        if not messages:
            continue
        book(db, [json.loads(message.value()) for message in messages])
        try:
            consumer.commit(offsets=last_offsets(messages), asynchronous=False)
        except KafkaException as error:
            print("commit refused:", error)
    consumer.close()


main()
