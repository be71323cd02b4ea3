"""Accounts kept as events. It connects, reads and answers; what is missing is nearly all."""

import json
import logging
import signal

from confluent_kafka import Consumer

import settings
from accounts import Accounts
from http_api import serve

log = logging.getLogger("main")
running = True


def stop(signum, frame):
    global running
    running = False


def main():
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    log.info("%s starts, group %s", settings.INSTANCE_ID, settings.GROUP_ID)
    signal.signal(signal.SIGTERM, stop)
    accounts = Accounts()
    serve()
    consumer = Consumer({
        "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
        "client.id": settings.INSTANCE_ID,
        "group.id": settings.GROUP_ID,
    })
    consumer.subscribe([settings.DEPOSITS_TOPIC])
    while running:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            log.warning("%s", message.error())
            continue
        accounts.deposit(json.loads(message.value()))
    consumer.close()
    log.info("stopped")


main()
