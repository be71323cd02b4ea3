import json
import logging
import os
import signal
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

logging.basicConfig(level=logging.WARNING)
log = logging.getLogger("orders")
TOPIC, DLQ = os.environ["ORDERS_TOPIC"], os.environ["DLQ_TOPIC"]
SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
WORKERS = [ThreadPoolExecutor(1) for _ in range(8)]
MOST_ATTEMPTS = 4

http = httpx.Client(base_url=os.environ["SHIPPING_URL"], timeout=2.0)
producer = Producer({"bootstrap.servers": SERVERS, "linger.ms": 0})


class Refused(Exception):
    pass


class Failed(Exception):
    pass


def parse(value):
    order = json.loads(value.decode())
    for name in ("id", "customer", "item"):
        if not isinstance(order[name], str) or not order[name]:
            raise ValueError(f"{name} is no text")
    if type(order["quantity"]) is not int or not 1 <= order["quantity"] <= 1000:
        raise ValueError(f"quantity is {order['quantity']!r}")
    return order


def ship(order):
    body = {"order": order["id"], "customer": order["customer"],
            "item": order["item"], "quantity": order["quantity"]}
    headers = {"Idempotency-Key": order["id"]}
    try:
        answer = http.post("/shipments", json=body, headers=headers)
    except httpx.TransportError as error:
        raise Failed(repr(error)) from error
    if answer.status_code in (429, 503):
        raise Failed(f"shipping answered {answer.status_code}")
    if not answer.is_success:
        raise Refused(f"shipping answered {answer.status_code}: {answer.text}")


def pause(attempt):
    time.sleep(0.22 * 2 ** (attempt - 1))


def handle(message):
    if message.value() is None:
        return
    try:
        order = parse(message.value())
    except Exception as error:
        dead_letter(message, f"poison: {error!r}"[:200], 0)
        return
    attempt = 0
    while True:
        attempt += 1
        try:
            ship(order)
            return
        except Refused as error:
            dead_letter(message, str(error), attempt)
            return
        except Failed as error:
            if attempt == MOST_ATTEMPTS:
                dead_letter(message, str(error), attempt)
                return
        pause(attempt)


def dead_letter(message, why, attempts):
    headers = list(message.headers() or [])
    headers += [
        ("dlq.topic", message.topic()),
        ("dlq.partition", str(message.partition())),
        ("dlq.offset", str(message.offset())),
        ("dlq.error", why),
        ("dlq.attempts", str(attempts)),
    ]
    outcome = []
    producer.produce(DLQ, message.value(), message.key(), headers=headers,
                     on_delivery=lambda error, _: outcome.append(error))
    while not outcome:
        producer.poll(0.1)
    if outcome[0]:
        raise KafkaException(outcome[0])


def worker_of(message):
    return WORKERS[zlib.crc32(message.key() or b"") % len(WORKERS)]


class Service:
    def __init__(self):
        self.running = True
        self.open = {}
        self.consumer = Consumer({
            "bootstrap.servers": SERVERS,
            "group.id": os.environ["GROUP_ID"],
            "heartbeat.interval.ms": 500,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })

    def stop(self, signum, frame):
        self.running = False

    def revoked(self, consumer, partitions):
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            log.warning("not committed: %s", error)
        for partition in partitions:
            self.open.pop(partition.partition, None)

    def accept(self, message):
        future = worker_of(message).submit(handle, message)
        self.open.setdefault(message.partition(), {})[message.offset()] = future

    def finished(self, futures):
        """The offset after the finished prefix; None when nothing new is finished."""
        reached = None
        for offset, future in list(futures.items()):
            if not future.done():
                break
            future.result()
            del futures[offset]
            reached = offset + 1
        return reached

    def commit(self):
        for partition, futures in self.open.items():
            reached = self.finished(futures)
            if reached is None:
                continue
            try:
                self.consumer.commit(
                    offsets=[TopicPartition(TOPIC, partition, reached)], asynchronous=False)
            except KafkaException as error:
                log.warning("not committed: %s", error)

    def run(self):
        self.consumer.subscribe([TOPIC], on_revoke=self.revoked)
        while self.running:
            message = self.consumer.poll(0.05)
            if message is not None and not message.error():
                self.accept(message)
            self.commit()
        self.consumer.close()


service = Service()
signal.signal(signal.SIGTERM, service.stop)
try:
    service.run()
except Exception:
    log.exception("ending; the next life goes on from the last commit")
    os._exit(1)
os._exit(0)
