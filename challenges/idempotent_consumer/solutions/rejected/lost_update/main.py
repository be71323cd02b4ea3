import json
import os
import signal

from confluent_kafka import Consumer, KafkaException
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models import Balance, LedgerEntry, ProcessedEvent


def book(engine, event):
    """One unit of work: the marker's primary key stops duplicates."""
    with Session(engine) as session, session.begin():
        session.add(ProcessedEvent(event_id=event["id"]))
        session.flush()
        session.add(LedgerEntry(
            event_id=event["id"], account=event["account"], amount=event["amount"]))
        balance = session.get(Balance, event["account"])
        if balance is None:
            session.add(Balance(account=event["account"], balance=event["amount"]))
        else:
            balance.balance = balance.balance + event["amount"]


def book_once(engine, event):
    for attempt in range(3):
        try:
            return book(engine, event)
        except IntegrityError as error:
            if "processed_events" in str(error.orig):
                return None
            print("first payment of the account elsewhere, attempt", attempt, error.orig)
    raise RuntimeError("could not book " + event["id"])


def main():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    engine = create_engine(
        os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg2:"))
    ProcessedEvent.__table__.create(engine, checkfirst=True)
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
        book_once(engine, json.loads(message.value()))
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            print(error)
    consumer.close()


main()
