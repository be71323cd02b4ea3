"""A view whose rows carry the number of the view they belong to.

Rows, positions and reviews of a batch are one transaction, so a record counts once however often it
comes. A rebuild fills rows of the next number, with a consumer of its own; the change to the new
number is one update. Reviews have positions of their own (number 0), for a rebuild may be ahead.
"""

import json
import logging
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

CUSTOMERS, ORDERS = os.environ["CUSTOMERS_TOPIC"], os.environ["ORDERS_TOPIC"]
NAMES = {CUSTOMERS: "customers", ORDERS: "orders"}
LANES = [(CUSTOMERS, p) for p in range(2)] + [(ORDERS, p) for p in range(3)]
LARGE = 100_000
REVIEWS = 0
PATIENCE_S = 2.5

TABLES = """
    create table if not exists current (one bool primary key default true, generation int not null);
    insert into current (generation) values (1) on conflict do nothing;
    create table if not exists positions (
        generation int, lane text, next_offset bigint not null, primary key (generation, lane));
    create table if not exists customers (
        generation int, customer text, name text not null, primary key (generation, customer));
    create table if not exists orders (
        generation int, order_id text, customer text not null, cents int not null,
        primary key (generation, order_id));
    create index if not exists orders_of on orders (generation, customer);
"""
ANSWER = """
    select c.generation,
        (select jsonb_object_agg(p.lane, p.next_offset) from positions p
         where p.generation = c.generation),
        (select v.name from customers v
         where v.generation = c.generation and v.customer = %(id)s),
        (select count(*) from orders o where o.generation = c.generation and o.customer = %(id)s),
        (select coalesce(sum(o.cents), 0)::bigint from orders o
         where o.generation = c.generation and o.customer = %(id)s)
    from current c
"""
log = logging.getLogger("view")
stopping = threading.Event()
rebuilding = threading.Lock()


def connect():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def lane(topic, partition):
    return f"{NAMES[topic]}-{partition}"


def advance(db, generation, message):
    """Note that a record is taken up; whether it was not before."""
    return db.execute(
        "insert into positions values (%s, %s, %s) on conflict (generation, lane) do update"
        " set next_offset = excluded.next_offset"
        " where positions.next_offset < excluded.next_offset returning 1",
        (generation, lane(message.topic(), message.partition()), message.offset() + 1)).fetchone()


def take_up(db, generation, message):
    """Apply a record to a view, unless the view has it already."""
    if not advance(db, generation, message):
        return
    if message.topic() == CUSTOMERS:
        take_up_customer(db, generation, message.key().decode(), message.value())
    else:
        take_up_order(db, generation, json.loads(message.value()))


def review(db, message):
    """Ask for a review if one is due, and was not asked for yet."""
    if message.topic() == ORDERS and advance(db, REVIEWS, message):
        event = json.loads(message.value())
        if event["type"] == "placed" and event["cents"] >= LARGE:
            db.execute("insert into reviews (event_id, order_id, cents) values (%s, %s, %s)",
                       (event["id"], event["order"], event["cents"]))


def take_up_customer(db, generation, customer, value):
    if value is None:
        db.execute("delete from customers where generation = %s and customer = %s",
                   (generation, customer))
    else:
        db.execute("insert into customers values (%s, %s, %s) on conflict (generation, customer)"
                   " do update set name = excluded.name",
                   (generation, customer, json.loads(value)["name"]))


def take_up_order(db, generation, event):
    key = (generation, event["order"])
    if event["type"] == "placed":
        db.execute("insert into orders values (%s, %s, %s, %s)",
                   (*key, event["customer"], event["cents"]))
    elif event["type"] == "changed":
        db.execute("update orders set cents = cents + %s where generation = %s and order_id = %s",
                   (event["cents"], *key))
    else:
        db.execute("delete from orders where generation = %s and order_id = %s", key)


def current(db):
    return db.execute("select generation from current for share").fetchone()[0]


def settings(**more):
    return {
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "client.id": os.environ["INSTANCE_ID"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        **more,
    }


def keep_up(db):
    """The live view: as a member of the group, until we are told to stop."""
    consumer = Consumer(settings())
    consumer.subscribe([CUSTOMERS, ORDERS])
    while not stopping.is_set():
        messages = [m for m in consumer.consume(50, timeout=0.2) if not m.error()]
        if not messages:
            continue
        while True:
            try:
                with db.transaction():
                    generation = current(db)
                    for message in messages:
                        take_up(db, generation, message)
                        review(db, message)
                break
            except psycopg.errors.SerializationFailure as error:
                log.warning("again: %s", error)
        try:
            commit_all(consumer, messages)
        except KafkaException as error:
            log.warning("not committed: %s", error)
    consumer.close()


def commit_all(consumer, messages):
    ends = {(m.topic(), m.partition()): m.offset() + 1 for m in messages}
    consumer.commit(offsets=[TopicPartition(*at, end) for at, end in ends.items()],
                    asynchronous=False)


def rebuild(generation):
    """Fill the next view, until it has all that the old one has; then change over."""
    with connect() as db, rebuilding:
        consumer = Consumer(settings())
        consumer.assign([TopicPartition(*at, 0) for at in LANES])
        while not stopping.is_set() and not change_over(db, generation):
            messages = [m for m in consumer.consume(200, timeout=0.2) if not m.error()]
            with db.transaction():
                for message in messages:
                    take_up(db, generation, message)
        consumer.close()


def change_over(db, generation):
    """Change to the new view if nothing is missing in it; whether that was done."""
    with db.transaction():
        old = db.execute("select generation from current for update").fetchone()[0]
        behind = db.execute(
            "select 1 from positions old left join positions new on new.lane = old.lane"
            " and new.generation = %s where old.generation = %s"
            " and coalesce(new.next_offset, 0) < old.next_offset", (generation, old)).fetchone()
        if behind:
            return False
        db.execute("update current set generation = %s", (generation,))
        for table in ("customers", "orders", "positions"):
            db.execute(f"delete from {table} where generation = %s", (old,))
        return True


def begin_rebuild():
    """The number of the view that is being made from now on."""
    with connect() as db, db.transaction():
        generation = current(db) + 1
        for table in ("customers", "orders", "positions"):
            db.execute(f"delete from {table} where generation >= %s", (generation,))
    threading.Thread(target=rebuild, args=(generation,), daemon=True).start()
    return generation


def answer(customer):
    """Status, positions by lane, and the answer."""
    with connect() as db:
        generation, as_of, name, orders, cents = db.execute(ANSWER, {"id": customer}).fetchone()
    told = {"as_of": as_of or {}, "generation": generation}
    if name is None:
        return 404, told
    return 200, told | {
        "customer": customer, "name": name, "open_orders": orders, "total_cents": cents}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        _, kind, id = url.path.split("/")
        if kind == "generations":
            with connect() as db:
                self.reply(200 if current(db) >= int(id) else 503, {})
        else:
            self.reply(*self.wait_for(id, parse_qs(url.query).get("after")))

    def wait_for(self, customer, after):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, told = answer(customer)
            if after is None:
                return status, told
            name, offset = after[0].split("@")
            if told["as_of"].get(name, 0) > int(offset):
                return status, told
            if time.monotonic() > deadline:
                return 503, {}
            time.sleep(0.05)

    def do_POST(self):
        self.reply(202, {"generation": begin_rebuild()})

    def reply(self, status, told):
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *told):
        pass


def main():
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGTERM, lambda signum, frame: stopping.set())
    with connect() as db:
        db.execute(TABLES)
        server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        keep_up(db)


main()
