"""Brings records from the inbox to their outcome. One attempt is one database transaction."""

import json
import os
import time

import httpx
from kafka import KafkaProducer

import inbox

PAUSES = (0.3, 0.5, 1.0)
producer = KafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all")


def work(stopping):
    with inbox.connect() as db, httpx.Client(
        base_url=os.environ["SHIPPING_URL"], timeout=1.5
    ) as http:
        while not stopping.is_set():
            with db.transaction():
                record = inbox.take(db)
                if record:
                    attempt(db, http, record)
            if not record:
                time.sleep(0.05)


def attempt(db, http, record):
    partition, position, _, value, _, attempts = record
    if value is None:
        return inbox.finish(db, partition, position)
    order, why = read(value)
    if order is None:
        bury(record, why, attempts)
        return inbox.finish(db, partition, position)
    outcome, why = ask(http, order)
    attempts += 1
    if outcome == "later" and attempts < 4:
        return inbox.postpone(db, partition, position, attempts, PAUSES[attempts - 1])
    if outcome != "done":
        bury(record, why, attempts)
    inbox.finish(db, partition, position)


def read(value):
    try:
        order = json.loads(value.decode())
        texts = [order[name] for name in ("id", "customer", "item")]
        quantity = order["quantity"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        return None, f"no order: {type(error).__name__}"
    if not all(isinstance(text, str) and text for text in texts):
        return None, "no order: a text is missing"
    if type(quantity) is not int or quantity not in range(1, 1001):
        return None, "no order: quantity"
    return order, ""


def ask(http, order):
    body = {name: order[name] for name in ("customer", "item", "quantity")}
    try:
        answer = http.post("/shipments", json={"order": order["id"], **body},
                           headers={"Idempotency-Key": order["id"]})
    except httpx.TransportError as error:
        return "later", repr(error)
    if answer.status_code in (429, 503):
        return "later", f"shipping answered {answer.status_code}"
    return ("done" if answer.is_success else "never"), f"refused: {answer.text}"


def bury(record, why, attempts):
    """Write the dead letter, and wait until it is written. Raises KafkaError when it is not."""
    partition, position, customer, value, headers, _ = record
    kept = [(name, bytes.fromhex(text)) for name, text in headers]
    told = {"topic": os.environ["ORDERS_TOPIC"], "partition": partition, "offset": position,
            "error": why, "attempts": attempts}
    producer.send(
        os.environ["DLQ_TOPIC"], value, customer,
        kept + [(f"dlq.{name}", str(text).encode()) for name, text in told.items()],
    ).get(timeout=20)
