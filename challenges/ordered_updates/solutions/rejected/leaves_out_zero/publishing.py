"""Writing to the topic of updates."""

import json
import os
import threading

from confluent_kafka import KafkaException, Producer


class Publisher:
    """An idempotent producer, so a batch that is sent again cannot end up behind a later one."""

    def __init__(self):
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "enable.idempotence": True,
            "linger.ms": 2,
        })
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            self.producer.poll(0.5)

    def publish(self, change):
        """Return when the broker has it."""
        answered, errors = threading.Event(), []

        def delivered(error, message):
            if error:
                errors.append(error)
            answered.set()

        self.producer.produce(
            os.environ["UPDATES_TOPIC"], json.dumps(change), change["item"], on_delivery=delivered)
        answered.wait()
        if errors:
            raise KafkaException(errors[0])
