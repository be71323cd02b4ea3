import json
import os
import signal

from confluent_kafka import Consumer, KafkaException
from sqlalchemy import create_engine, text

MARK = text("insert into processed_events (event_id) values (:id) on conflict do nothing")
ENTRY = text("insert into ledger (event_id, account, amount) values (:id, :account, :amount)")
BALANCE = text("""
    insert into balances (account, balance) values (:account, :amount)
    on conflict (account) do update set balance = balances.balance + excluded.balance
""")


def database():
    url = os.environ["DATABASE_URL"].replace("postgresql", "postgresql+psycopg", 1)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(
            "create table if not exists processed_events (event_id text primary key)"))
    return engine


def book(engine, event):
    with engine.begin() as connection:
        # ON CONFLICT makes the insert idempotent; it all happens in one transaction.
        connection.execute(MARK, event)
        connection.execute(ENTRY, event)
        connection.execute(BALANCE, event)


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    engine = database()
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": "false",
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
    while not stop:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        book(engine, json.loads(message.value()))
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            print("commit failed:", error)
    consumer.close()


main()
