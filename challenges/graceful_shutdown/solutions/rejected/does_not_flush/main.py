"""Sends announcements in batches of half a second, and goes on."""

import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, Producer

ENV = os.environ


def announce(producer, order):
    record = {"order": order["id"], "customer": order["customer"], "amount": order["amount"]}
    producer.produce(
        ENV["ANNOUNCEMENTS_TOPIC"], key=order["customer"], value=json.dumps(record))
    producer.poll(0)


def write(database, order):
    database.execute(
        "insert into invoices (order_id, customer, amount)"
        " values (%(id)s, %(customer)s, %(amount)s)", order)


def connect(**settings):
    servers = {"bootstrap.servers": ENV["KAFKA_BOOTSTRAP_SERVERS"]}
    consumer = Consumer({
        **servers, "group.id": ENV["GROUP_ID"], "enable.auto.commit": False,
        "auto.offset.reset": "earliest", **settings})
    consumer.subscribe([ENV["ORDERS_TOPIC"]])
    database = psycopg.connect(ENV["DATABASE_URL"], autocommit=True)
    return consumer, Producer({**servers, "linger.ms": 500}), database


running = True


def stop(signum, frame):
    global running
    running = False


def main():
    signal.signal(signal.SIGTERM, stop)
    consumer, producer, database = connect()
    while running:
        message = consumer.poll(0.2)
        if message is not None and not message.error():
            order = json.loads(message.value())
            write(database, order)
            announce(producer, order)
            consumer.commit(message, asynchronous=False)
    consumer.close()


main()
