"""Reads the topic, one record at a time."""

import json
import logging

from confluent_kafka import Consumer

import settings

log = logging.getLogger("consumer")


class ChangeConsumer:
    def __init__(self, updates):
        self.updates = updates
        self.running = True
        self.consumer = Consumer({
            "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
            "client.id": settings.INSTANCE_ID,
            "group.id": settings.GROUP_ID,
        })

    def stop(self, signum, frame):
        self.running = False

    def run(self):
        self.consumer.subscribe([settings.CHANGES_TOPIC])
        while self.running:
            message = self.consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                log.warning("%s", message.error())
                continue
            self.updates.handle(json.loads(message.value()))
        self.consumer.close()
