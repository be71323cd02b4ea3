"""Reads orders and has them shipped. It knows no trouble yet."""

import json
import logging
import signal

from confluent_kafka import Consumer

import settings
from shipping import ship

log = logging.getLogger("main")


class Orders:
    def __init__(self):
        self.running = True
        self.consumer = Consumer({
            "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
            "client.id": settings.INSTANCE_ID,
            "group.id": settings.GROUP_ID,
            "auto.offset.reset": "earliest",
        })

    def stop(self, signum, frame):
        self.running = False

    def run(self):
        self.consumer.subscribe([settings.ORDERS_TOPIC])
        while self.running:
            message = self.consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                log.warning("%s", message.error())
                continue
            self.handle(message)
        self.consumer.close()

    def handle(self, message):
        # TODO (yours): what if this is no order, and what if shipping says anything but 201?
        order = json.loads(message.value())
        log.info("%s: %s", order["id"], ship(order))


def main():
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    log.info("%s starts, group %s", settings.INSTANCE_ID, settings.GROUP_ID)
    orders = Orders()
    signal.signal(signal.SIGTERM, orders.stop)
    orders.run()
    log.info("stopped")


main()
