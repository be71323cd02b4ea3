"""Dead letters and offsets in one Kafka transaction for each batch.

A batch is worked on by several threads, each customer's orders by one. What the threads give up is
written when all are done, in the transaction that also moves the offsets: both or neither.
"""

import json
import os
import signal
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import httpx
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

http = httpx.Client(base_url=os.environ["SHIPPING_URL"], timeout=2.0)
pool = ThreadPoolExecutor(16)
WAITS = [0.0, 0.25, 0.5, 1.0]


def verdict(message):
    """None when there is nothing left to do; else why, and how often it was tried."""
    if message.value() is None:
        return None
    try:
        order = json.loads(message.value().decode("utf-8"))
        body = {"order": order["id"], "customer": order["customer"],
                "item": order["item"], "quantity": order["quantity"]}
    except Exception as error:
        return type(error).__name__, 0
    if not all(isinstance(body[k], str) and body[k] for k in ("order", "customer", "item")):
        return "a text is missing", 0
    if type(body["quantity"]) is not int or not 1 <= body["quantity"] <= 1000:
        return f"quantity {body['quantity']!r}", 0
    return tried(body)


def tried(body):
    for attempt, wait in enumerate(WAITS, 1):
        sleep(wait)
        try:
            answer = http.post("/shipments", json=body, headers={"Idempotency-Key": body["order"]})
        except httpx.TransportError as error:
            why = repr(error)
            continue
        if answer.status_code in (200, 201):
            return None
        why = f"shipping: {answer.status_code} {answer.text}"
        if answer.status_code == 422:
            return why, attempt
    return why, len(WAITS)


def verdicts(line):
    return [(message, found) for message in line if (found := verdict(message))]


def dead_letter(message, why, attempts):
    extra = {"topic": message.topic(), "partition": message.partition(),
             "offset": message.offset(), "error": why, "attempts": attempts}
    headers = (message.headers() or []) + [(f"dlq.{k}", str(v)) for k, v in extra.items()]
    return {"value": message.value(), "key": message.key(), "headers": headers}


def handle(consumer, producer, batch):
    lines = defaultdict(list)
    for message in batch:
        lines[message.key()].append(message)
    given_up = [each for found in pool.map(verdicts, lines.values()) for each in found]
    producer.begin_transaction()
    for message, (why, attempts) in given_up:
        producer.produce(os.environ["DLQ_TOPIC"], **dead_letter(message, why, attempts))
    ends = {}
    for message in batch:
        ends[message.partition()] = message.offset() + 1
    offsets = [TopicPartition(os.environ["ORDERS_TOPIC"], p, o) for p, o in ends.items()]
    producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
    producer.commit_transaction()


def main():
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    servers = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
    producer = Producer({**servers, "transactional.id": f"orders-{os.environ['INSTANCE_ID']}"})
    producer.init_transactions(20)
    consumer = Consumer({**servers, "group.id": os.environ["GROUP_ID"],
                         "isolation.level": "read_committed", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest"})
    consumer.subscribe([os.environ["ORDERS_TOPIC"]])
    while not stopping:
        batch = [m for m in consumer.consume(100, timeout=0.1) if not m.error()]
        if batch:
            try:
                handle(consumer, producer, batch)
            except KafkaException as error:
                print("ending, the batch comes again:", error, flush=True)
                os._exit(1)
    consumer.close()
    sys.stdout.flush()
    os._exit(0)


main()
