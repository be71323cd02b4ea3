"""One thread decides, a pool of threads asks the shipping service, a heap says what is due when.

Each customer has a queue; its head is either being asked for, waiting for its next attempt, or
being written to the dead-letter topic. Nothing here ever sleeps for one record.
"""

import heapq
import itertools
import json
import logging
import os
import queue
import signal
import time
import urllib.error
import urllib.request
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("orders")
TOPIC, DLQ = os.environ["ORDERS_TOPIC"], os.environ["DLQ_TOPIC"]
URL = os.environ["SHIPPING_URL"] + "/shipments"
DONE, LATER, NEVER = "done", "later", "never"


def why_no_order(order):
    if not isinstance(order, dict):
        return "no object"
    for name in ("id", "customer", "item"):
        if not (isinstance(order.get(name), str) and order[name]):
            return f"bad {name}"
    number = order.get("quantity")
    good = isinstance(number, int) and number is not True and 1 <= number <= 1000
    return None if good else "bad quantity"


def ask(order):
    fields = {k: order[k] for k in ("customer", "item", "quantity")}
    request = urllib.request.Request(
        URL, json.dumps({"order": order["id"], **fields}).encode(),
        {"Content-Type": "application/json", "Idempotency-Key": order["id"]}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=1.8):
            return DONE, ""
    except urllib.error.HTTPError as error:
        return LATER if error.code in (429, 503) else NEVER, f"HTTP {error.code}"
    except OSError as error:
        return LATER, repr(error)


class Item:
    """One record on its way to its outcome."""

    def __init__(self, message, order=None, why=""):
        self.message, self.order, self.why = message, order, why
        self.attempts = self.refusals = 0
        self.is_done = False


class Scheduler:
    def __init__(self):
        base = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
        self.consumer = Consumer({**base, "group.id": os.environ["GROUP_ID"],
                                  "enable.auto.commit": False, "auto.offset.reset": "earliest"})
        self.producer = Producer({**base, "enable.idempotence": True, "linger.ms": 0})
        self.pool = ThreadPoolExecutor(32)
        self.answers = queue.SimpleQueue()
        self.due = []
        self.numbers = itertools.count()
        self.customers = defaultdict(deque)
        self.open = defaultdict(deque)
        self.running = True

    def stop(self, *_):
        self.running = False

    def take(self, message):
        item = Item(message)
        self.open[message.partition()].append(item)
        if message.value() is None:
            item.is_done = True
            return
        try:
            item.order = json.loads(message.value().decode())
            item.why = why_no_order(item.order)
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            item.why = f"no JSON ({type(error).__name__})"
        line = self.customers[message.key()]
        line.append(item)
        if len(line) == 1:
            self.begin(item)

    def begin(self, item):
        if item.why:
            self.bury(item)
        else:
            self.pool.submit(lambda: self.answers.put((item, *ask(item.order))))

    def bury(self, item):
        message = item.message
        headers = list(message.headers() or [])
        headers += [("dlq.topic", message.topic()), ("dlq.partition", str(message.partition())),
                    ("dlq.offset", str(message.offset())), ("dlq.error", item.why),
                    ("dlq.attempts", str(item.attempts))]
        try:
            self.producer.produce(
                DLQ, message.value(), message.key(), headers=headers,
                on_delivery=lambda error, _: self.buried(item, error))
        except KafkaException as error:  # refused before it was sent
            self.buried(item, error)

    def buried(self, item, error):
        if error is None:
            return self.finish(item)
        item.refusals += 1
        if item.refusals == 5:
            log.error("dead letter given up: %s", error)
            return self.finish(item)
        log.warning("dead letter refused, trying again: %s", error)
        heapq.heappush(self.due, (time.monotonic() + 0.5, next(self.numbers), self.bury, item))

    def answered(self, item, outcome, why):
        item.attempts += 1
        if outcome is DONE:
            return self.finish(item)
        if outcome is NEVER or item.attempts == 4:
            item.why = why
            return self.bury(item)
        pause = 0.21 * 2 ** (item.attempts - 1)
        heapq.heappush(self.due, (time.monotonic() + pause, next(self.numbers), self.begin, item))

    def finish(self, item):
        item.is_done = True
        line = self.customers[item.message.key()]
        if line and line[0] is item:
            line.popleft()
            if line:
                self.begin(line[0])

    def commit(self):
        offsets = []
        for partition, items in self.open.items():
            reached = None
            while items and items[0].is_done:
                reached = items.popleft().message.offset() + 1
            if reached is not None:
                offsets.append(TopicPartition(TOPIC, partition, reached))
        if offsets:
            try:
                self.consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                log.warning("commit: %s", error)

    def revoked(self, consumer, partitions):
        """What is lost is forgotten; whatever is under way for it does no harm."""
        self.commit()
        lost = {p.partition for p in partitions}
        for partition in lost:
            self.open.pop(partition, None)
        for key, line in list(self.customers.items()):
            if line and line[0].message.partition() in lost:
                del self.customers[key]
        self.due = [d for d in self.due if d[3].message.partition() not in lost]
        heapq.heapify(self.due)

    def run(self):
        self.consumer.subscribe([TOPIC], on_revoke=self.revoked)
        while self.running:
            message = self.consumer.poll(0.02)
            if message is not None and not message.error():
                self.take(message)
            self.producer.poll(0)
            while not self.answers.empty():
                self.answered(*self.answers.get())
            while self.due and self.due[0][0] <= time.monotonic():
                _, _, act, item = heapq.heappop(self.due)
                act(item)
            self.commit()
        self.consumer.close()


scheduler = Scheduler()
signal.signal(signal.SIGTERM, scheduler.stop)
scheduler.run()
os._exit(0)
