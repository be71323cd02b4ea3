"""A poll's orders are one insert. The database has two seconds for a statement, always; who is told
to stop does not try again."""

import json
import os
import signal
import sys

from kafka import KafkaConsumer, KafkaProducer
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, create_engine
from sqlalchemy.exc import OperationalError

ENV = os.environ
invoices = Table(
    "invoices", MetaData(),
    Column("order_id", Text), Column("customer", Text), Column("amount", BigInteger))


class Stopped(BaseException):
    pass


class Stop:
    """Until the consumer is there, the signal ends the program on the spot."""

    def __init__(self):
        self.told = False
        self.starting = True

    def __call__(self, signum, frame):
        self.told = True
        if self.starting:
            os._exit(143)


def write(engine, orders, stop):
    rows = [{"order_id": o["id"], "customer": o["customer"], "amount": o["amount"]}
            for o in orders]
    while True:
        try:
            with engine.begin() as connection:
                connection.execute(invoices.insert(), rows)
            return
        except OperationalError as error:
            print("not written:", type(error.orig).__name__, flush=True)
            if stop.told:
                raise Stopped from error


def announce(producer, orders):
    sent = [
        producer.send(ENV["ANNOUNCEMENTS_TOPIC"], json.dumps(
            {"order": o["id"], "customer": o["customer"], "amount": o["amount"]}).encode())
        for o in orders]
    for each in sent:
        each.get(timeout=10)


def main():
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    url = ENV["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, connect_args={"options": "-c statement_timeout=2000"})
    servers = ENV["KAFKA_BOOTSTRAP_SERVERS"]
    producer = KafkaProducer(bootstrap_servers=servers)
    consumer = KafkaConsumer(
        ENV["ORDERS_TOPIC"], bootstrap_servers=servers, group_id=ENV["GROUP_ID"],
        enable_auto_commit=False, auto_offset_reset="earliest")
    stop.starting = False
    try:
        while not stop.told:
            polled = consumer.poll(timeout_ms=200, max_records=15)
            orders = [json.loads(r.value) for records in polled.values() for r in records]
            if orders:
                write(engine, orders, stop)
                announce(producer, orders)
                consumer.commit()
    except Stopped:
        pass
    consumer.close(autocommit=False)
    producer.close(timeout=1)
    engine.dispose()
    sys.exit(143)


main()
