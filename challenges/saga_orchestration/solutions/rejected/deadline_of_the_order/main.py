"""An orchestrator with a transactional outbox; it cancels when a reply before the pivot is overdue."""

import json
import os
import signal

from confluent_kafka import Consumer, Producer

from store import Store

BROKER = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}


class Orchestrator:
    def __init__(self):
        self.running = True
        self.store = Store()
        self.producer = Producer({**BROKER, "enable.idempotence": True, "linger.ms": 2})
        self.consumer = Consumer({
            **BROKER,
            "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })

    def stop(self, *_):
        self.running = False

    def run(self):
        self.consumer.subscribe([os.environ["ORDERS_TOPIC"], os.environ["REPLIES_TOPIC"]])
        while self.running:
            for message in self.consumer.consume(50, timeout=0.1):
                if message.error() is None:
                    self.take(message)
            self.store.overdue()
            self.store.publish(self.send)
        self.consumer.close()

    def take(self, message):
        value = json.loads(message.value())
        if message.topic() == os.environ["ORDERS_TOPIC"]:
            self.store.begin(value)
        else:
            self.store.reply(value)
        self.consumer.commit(message)

    def send(self, rows):
        failed = []
        for topic, key, value in rows:
            self.producer.produce(
                topic, json.dumps(value), key,
                on_delivery=lambda error, _: error and failed.append(error),
            )
        if self.producer.flush(20) or failed:
            raise RuntimeError(f"not written: {failed}")


orchestrator = Orchestrator()
signal.signal(signal.SIGTERM, orchestrator.stop)
orchestrator.run()
