"""Consume with librdkafka, in the protocol that PROTOCOL names; commit after every record."""

import os
import signal

from confluent_kafka import Consumer, KafkaException

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
settings = {
    "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
    "group.id": os.environ["GROUP_ID"],
    "group.protocol": os.environ["PROTOCOL"],
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "retry.backoff.ms": 20,
    "log_level": 0,
}
if os.environ["PROTOCOL"] == "classic":  # in the other the broker decides
    settings["heartbeat.interval.ms"] = 200
if "STATIC_ID" in os.environ:
    settings["group.instance.id"] = os.environ["STATIC_ID"]
consumer = Consumer(settings)
consumer.subscribe(os.environ["TOPIC"].split(","), on_lost=lambda *_: print("lost"))
while not stopping:
    message = consumer.poll(0.05)
    if message is None:
        continue
    if message.error():
        print("failed", message.error().name())
        continue
    print("record", message.partition(), message.offset())
    try:
        consumer.commit(message, asynchronous=False)
        print("committed", message.partition(), message.offset() + 1)
    except KafkaException as error:
        print("failed", error.args[0].name())
consumer.close()
print("closed")
