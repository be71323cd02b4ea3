"""Reads the topics, one record at a time."""

import logging

from confluent_kafka import Consumer

import settings

log = logging.getLogger("consumer")


class Reader:
    def __init__(self, view):
        self.view = view
        self.running = True
        self.consumer = Consumer({
            "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
            "client.id": settings.INSTANCE_ID,
            "group.id": settings.GROUP_ID,
        })

    def stop(self, signum, frame):
        self.running = False

    def run(self):
        self.consumer.subscribe([settings.CUSTOMERS_TOPIC, settings.ORDERS_TOPIC])
        while self.running:
            message = self.consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                log.warning("%s", message.error())
                continue
            self.view.take_up(message.topic(), message.partition(), message.offset(),
                              message.key(), message.value())
        self.consumer.close()
