"""Writes and announces invoices. It works, until somebody stops it."""

import json
import logging

import psycopg
from confluent_kafka import Consumer, Producer

import settings

log = logging.getLogger("main")


def write_invoice(database, order):
    database.execute(
        "insert into invoices (order_id, customer, amount) values (%(id)s, %(customer)s, %(amount)s)",
        order)


def announce(producer, order):
    record = {"order": order["id"], "customer": order["customer"], "amount": order["amount"]}
    producer.produce(settings.ANNOUNCEMENTS_TOPIC, key=order["customer"], value=json.dumps(record))


def main():
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    log.info("%s starts, group %s", settings.INSTANCE_ID, settings.GROUP_ID)
    database = psycopg.connect(settings.DATABASE_URL, autocommit=True)
    producer = Producer({"bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS})
    consumer = Consumer({
        "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
        "client.id": settings.INSTANCE_ID,
        "group.id": settings.GROUP_ID,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([settings.ORDERS_TOPIC])
    # TODO (yours): SIGTERM ends this loop in the middle of whatever it is doing.
    while True:
        message = consumer.poll(0.2)
        producer.poll(0)
        if message is None:
            continue
        if message.error():
            log.warning("%s", message.error())
            continue
        order = json.loads(message.value())
        write_invoice(database, order)
        announce(producer, order)


main()
