"""Finishes the order in hand, however long that takes."""

import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer

ENV = os.environ


class Stop:
    """Whether we were told to stop."""

    told = False

    def __call__(self, signum, frame):
        self.told = True


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
    database = psycopg.connect(ENV["DATABASE_URL"], autocommit=True)
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
    finally:
        consumer.close()


main()
