"""Stock or shipping. What is announced and the offset are one Kafka transaction; the change in the
database is committed before it, with the announcement, so that a repeat announces the same."""

import json
import logging
import os
import signal
import uuid

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

log = logging.getLogger("main")
SERVICE = os.environ["SERVICE"]
TOPIC = os.environ["STOCK_EVENTS_TOPIC" if SERVICE == "stock" else "SHIPMENTS_TOPIC"]
READS = ["ORDERS_TOPIC", "SHIPMENTS_TOPIC"]
if SERVICE == "shipping":
    READS = ["ORDERS_TOPIC", "PAYMENTS_TOPIC", "STOCK_EVENTS_TOPIC"]
GOOD = {"OrderPlaced", "StockReserved", "PaymentCaptured"}
BAD = {"StockRejected", "PaymentDeclined", "OrderCancelled"}
TYPES = {"OrderPlaced", "OrderFailed"} if SERVICE == "stock" else GOOD | BAD


class Book:
    """An order as the service knows it: its events by type, and what was announced in answer to
    which. Locked from `open` to the end of the transaction."""

    def __init__(self, db, event):
        self.db, self.order_id = db, event["order_id"]
        db.execute(
            f"insert into {SERVICE}_book values (%s, '{{}}', '{{}}') on conflict do nothing",
            (self.order_id,),
        )
        self.events, self.told = db.execute(
            f"select events, told from {SERVICE}_book where order_id = %s for update",
            (self.order_id,),
        ).fetchone()

    def announce(self, cause, type):
        self.told[cause["event_id"]] = {
            "event_id": str(uuid.uuid4()),
            "type": type,
            "order_id": self.order_id,
            "correlation_id": cause["correlation_id"],
            "causation_id": cause["event_id"],
        }

    def has_told(self, *types):
        return any(event["type"] in types for event in self.told.values())

    def save(self):
        self.db.execute(
            f"update {SERVICE}_book set events = %s, told = %s where order_id = %s",
            (json.dumps(self.events), json.dumps(self.told), self.order_id),
        )


def stock(db, book, event):
    if event["type"] == "OrderPlaced" and not book.has_told("StockReserved", "StockRejected"):
        taken = "OrderFailed" not in book.events and db.execute(
            "update stock set available = available - %(quantity)s"
            " where product = %(product)s and available >= %(quantity)s",
            event,
        ).rowcount
        if taken:
            insert(db, "reservations", event)
        book.announce(event, "StockReserved" if taken else "StockRejected")
    elif event["type"] == "OrderFailed" and book.has_told("StockReserved"):
        if not book.has_told("StockReleased"):
            order = book.events["OrderPlaced"]
            db.execute(
                "update stock set available = available + %(quantity)s where product = %(product)s",
                order,
            )
            insert(db, "releases", order)
            book.announce(event, "StockReleased")


def insert(db, table, order):
    db.execute(
        f"insert into {table} (order_id, product, quantity)"
        " values (%(order_id)s, %(product)s, %(quantity)s)",
        order,
    )


def shipping(db, book, event):
    if book.has_told("OrderShipped", "OrderFailed"):
        return
    if event["type"] in BAD:
        book.announce(event, "OrderFailed")
    elif book.events.keys() >= GOOD:
        db.execute(
            "insert into deliveries (order_id, product, quantity, address)"
            " values (%(order_id)s, %(product)s, %(quantity)s, %(address)s)",
            book.events["OrderPlaced"],
        )
        is_order = event["type"] == "OrderPlaced"
        book.announce(book.events["StockReserved"] if is_order else event, "OrderShipped")


def deal_with(db, event):
    """What must be announced in answer to an event, the first time and every time."""
    for _ in range(5):
        try:
            with db.transaction():
                book = Book(db, event)
                book.events.setdefault(event["type"], event)
                (stock if SERVICE == "stock" else shipping)(db, book, event)
                book.save()
            causes = {event["event_id"]}
            if event["type"] == "OrderPlaced" and "StockReserved" in book.events:
                causes.add(book.events["StockReserved"]["event_id"])
            return [told for cause, told in book.told.items() if cause in causes]
        except psycopg.errors.SerializationFailure as error:
            log.warning("again, after: %s", error)
    log.error("given up: %s", event)
    return []


def main():
    logging.basicConfig(level=logging.INFO)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    with db.transaction():
        db.execute("select pg_advisory_xact_lock(5)")
        db.execute(
            f"create table if not exists {SERVICE}_book"
            " (order_id text primary key, events jsonb not null, told jsonb not null)"
        )
    servers = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
    producer = Producer(
        servers | {"transactional.id": f"{SERVICE}-{os.environ['INSTANCE_ID']}", "linger.ms": 0}
    )
    producer.init_transactions(20)
    consumer = Consumer(
        servers
        | {
            "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([os.environ[name] for name in READS])
    while not stopping:
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        event = json.loads(message.value())
        told = deal_with(db, event) if event.get("type") in TYPES else []
        producer.begin_transaction()
        try:
            for each in told:
                producer.produce(TOPIC, json.dumps(each), each["order_id"])
            place = TopicPartition(message.topic(), message.partition(), message.offset() + 1)
            producer.send_offsets_to_transaction(
                [place], consumer.consumer_group_metadata(), 20
            )
            producer.commit_transaction(20)
        except KafkaException as error:
            # Fenced, or the partition has gone: start anew from the committed offset.
            log.warning("%s", error)
            raise SystemExit(1) from error
    consumer.close()


main()
