"""Writing to the topic of updates."""

import json
import os
import threading

from confluent_kafka import Producer


class Publisher:
    """One transaction for each change: whoever reads committed records sees no other."""

    def __init__(self):
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "transactional.id": os.environ["GROUP_ID"],
            "linger.ms": 0,
        })
        self.producer.init_transactions(30)
        self.turn = threading.Lock()

    def publish(self, change):
        """Return when the broker has it."""
        with self.turn:
            self.producer.begin_transaction()
            self.producer.produce(os.environ["UPDATES_TOPIC"], json.dumps(change), change["item"])
            self.producer.commit_transaction(30)
