"""Starts one of the two services. Both connect and read; what is missing is what they do."""

import json
import logging
import signal

import psycopg
from confluent_kafka import Consumer, Producer

import settings
from shipping import Shipping
from stock import Stock

log = logging.getLogger(settings.SERVICE)
running = True


def stop(signum, frame):
    global running
    running = False


def main():
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    signal.signal(signal.SIGTERM, stop)
    database = psycopg.connect(settings.DATABASE_URL, autocommit=True)
    producer = Producer({"bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS})
    service = {"stock": Stock, "shipping": Shipping}[settings.SERVICE](database, producer)
    consumer = Consumer({
        "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
        "client.id": settings.INSTANCE_ID,
        "group.id": settings.GROUP_ID,
    })
    consumer.subscribe(service.topics)
    log.info("%s starts, group %s", settings.INSTANCE_ID, settings.GROUP_ID)
    while running:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            log.warning("%s", message.error())
            continue
        service.handle(json.loads(message.value()))
    consumer.close()
    producer.flush()


main()
