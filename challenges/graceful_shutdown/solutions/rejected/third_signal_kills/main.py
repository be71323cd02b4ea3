"""One order after the other. SIGTERM sets a flag; a timer takes back an invoice that cannot be
written in time."""

import json
import os
import signal
import threading

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer

GIVE_UP_S = 2.5
ENV = os.environ


class Stop:
    """Whether we were told to stop, and what happens when the order in hand does not end."""

    def __init__(self):
        self.told = False
        self.times = 0
        self.database = None

    def __call__(self, signum, frame):
        self.times += 1
        if self.times == 2:  # who asks thrice means it
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if not self.told:
            self.told = True
            timer = threading.Timer(GIVE_UP_S, self.give_up)
            timer.daemon = True
            timer.start()

    def give_up(self):
        if self.database is not None:
            self.database.cancel()


def announce(producer, order):
    """Returns when Kafka has it."""
    failed = []
    record = {"order": order["id"], "customer": order["customer"], "amount": order["amount"]}
    producer.produce(
        ENV["ANNOUNCEMENTS_TOPIC"], key=order["customer"], value=json.dumps(record),
        on_delivery=lambda error, message: error and failed.append(error))
    producer.flush()
    if failed:
        raise KafkaException(failed[0])


def handle(database, producer, order):
    database.execute(
        "insert into invoices (order_id, customer, amount)"
        " values (%(id)s, %(customer)s, %(amount)s)", order)
    announce(producer, order)


def main():
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    stop.database = database = psycopg.connect(ENV["DATABASE_URL"], autocommit=True)
    servers = {"bootstrap.servers": ENV["KAFKA_BOOTSTRAP_SERVERS"]}
    producer = Producer({**servers, "linger.ms": 0})
    consumer = Consumer({
        **servers,
        "group.id": ENV["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([ENV["ORDERS_TOPIC"]])
    try:
        while not stop.told:
            message = consumer.poll(0.2)
            if message is not None and not message.error():
                handle(database, producer, json.loads(message.value()))
                consumer.commit(message, asynchronous=False)
    except psycopg.errors.QueryCanceled:
        print("taken back: the next instance will write it", flush=True)
    finally:
        consumer.close()


main()
