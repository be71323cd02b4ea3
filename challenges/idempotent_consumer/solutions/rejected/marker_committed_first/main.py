import json
import os
import signal

import psycopg
from confluent_kafka import Consumer

keep_going = True


def request_stop(signum, frame):
    global keep_going
    keep_going = False


def claim(db, event_id):
    """True when this event is ours to process, False when somebody had it before."""
    cursor = db.execute(
        "insert into processed_events (event_id) values (%s) on conflict (event_id) do nothing",
        (event_id,),
    )
    return cursor.rowcount == 1


def post(db, event):
    with db.transaction():
        db.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]),
        )
        db.execute(
            "insert into balances as b (account, balance) values (%s, %s)"
            " on conflict (account) do update set balance = b.balance + excluded.balance",
            (event["account"], event["amount"]),
        )


def main():
    signal.signal(signal.SIGTERM, request_stop)
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    db.execute(
        "create table if not exists processed_events ("
        " event_id text primary key, processed_at timestamptz default now())"
    )
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "client.id": os.environ["INSTANCE_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while keep_going:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        event = json.loads(message.value())
        if claim(db, event["id"]):
            post(db, event)
        consumer.commit(message, asynchronous=False)
    consumer.close()


main()
