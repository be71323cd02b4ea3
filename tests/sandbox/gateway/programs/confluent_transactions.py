"""Copy records to OUT with librdkafka, each with its offset in one transaction, as its
documentation says: retry what is retriable, abort what can be aborted, leave at a fatal error."""

import os
import signal
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
servers = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"], "log_level": 0}
group = os.environ["GROUP_ID"]
earliest = {"auto.offset.reset": "earliest", "enable.auto.commit": False}
beats = {"heartbeat.interval.ms": 200}
consumer = Consumer(servers | earliest | beats | {"group.id": group})
consumer.subscribe(os.environ["TOPIC"].split(","))
producer = Producer(servers | {"transactional.id": group, "retry.backoff.ms": 20})


def insist(call, *arguments):
    """Call again as long as the error says that this may help."""
    while True:
        try:
            return call(*arguments)
        except KafkaException as error:
            print("failed", call.__name__, error.args[0].name())
            if not error.args[0].retriable():
                raise


def copy(message):
    """Copy one record; whether that was committed."""
    insist(producer.begin_transaction)
    try:
        producer.produce(os.environ["OUT"], message.value())
        offsets = [TopicPartition(message.topic(), message.partition(), message.offset() + 1)]
        insist(producer.send_offsets_to_transaction, offsets, consumer.consumer_group_metadata())
        insist(producer.commit_transaction)
    except KafkaException as error:
        if not error.args[0].txn_requires_abort():
            print("fatal", error.args[0].name())
            sys.exit(1)
        insist(producer.abort_transaction)
        return False
    return True


insist(producer.init_transactions)
while not stopping:
    message = consumer.poll(0.05)
    if message is None:
        continue
    if message.error():
        print("failed", message.error().name())
        continue
    print("record", message.partition(), message.offset())
    if copy(message):
        print("committed", message.partition(), message.offset() + 1)
    else:
        consumer.seek(TopicPartition(message.topic(), message.partition(), message.offset()))
consumer.close()
print("closed")
