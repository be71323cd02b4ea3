"""Copy records to OUT with kafka-python; commit after every batch."""

import os
import signal

from kafka import KafkaConsumer, KafkaProducer

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
consumer = KafkaConsumer(
    *os.environ["TOPIC"].split(","),
    bootstrap_servers=servers,
    group_id=os.environ["GROUP_ID"],
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    heartbeat_interval_ms=200,
)
producer = KafkaProducer(bootstrap_servers=servers)
while not stopping:
    for messages in consumer.poll(50).values():
        for message in messages:
            print("record", message.partition, message.offset)
            producer.send(os.environ["OUT"], message.value).get(10)
        consumer.commit()
        print("committed", messages[-1].partition, messages[-1].offset + 1)
producer.close()
consumer.close()
print("closed")
