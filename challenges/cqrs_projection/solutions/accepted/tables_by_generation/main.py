"""A schema for each view, an event at a time, and a process of its own for each duty.

The live process takes up records, one in a transaction. Another answers questions. A rebuild is a
third one, which makes the next schema; it ends by itself when the new schema has all that the old
one has. Any error ends a process, and that ends the program: it is started again.
"""

import json
import multiprocessing
import os
import signal
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import psycopg2
import psycopg2.errors
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition

CUSTOMERS, ORDERS = os.environ["CUSTOMERS_TOPIC"], os.environ["ORDERS_TOPIC"]
LANES = {TopicPartition(CUSTOMERS, p): f"customers-{p}" for p in range(2)} | {
    TopicPartition(ORDERS, p): f"orders-{p}" for p in range(3)}
REGISTRY = """
    create table if not exists views (
        generation serial primary key, live bool not null default false,
        wanted bool not null default true);
"""
MAKE = """
    create table positions_{0} (lane text primary key, next_offset bigint not null);
    create table names_{0} (customer text primary key, name text not null);
    create table deeds_{0} (place text primary key, orderly text, customer text, cents bigint,
                            closes bool not null);
    create index on deeds_{0} (orderly); create index on deeds_{0} (customer);
"""
# Every event of an order is kept as a deed; a customer's sums are made when they are asked for.
ASK = """
    with theirs as (select orderly from deeds_{0} where customer = %(id)s),
         theirs_open as (select orderly from theirs t where not exists (
             select from deeds_{0} d where d.orderly = t.orderly and d.closes))
    select (select name from names_{0} where customer = %(id)s),
           (select count(*) from theirs_open),
           (select coalesce(sum(cents), 0)::bigint from deeds_{0}
            where orderly in (select orderly from theirs_open)),
           (select json_object_agg(lane, next_offset) from positions_{0})
"""


def connect():
    return psycopg2.connect(os.environ["DATABASE_URL"])


def consumer(**more):
    return KafkaConsumer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        client_id=os.environ["INSTANCE_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        **more,
    )


def live_view(cursor):
    cursor.execute("select generation from views where live for share")
    return cursor.fetchone()[0]


def take_up(cursor, generation, record):
    lane = LANES[TopicPartition(record.topic, record.partition)]
    cursor.execute(f"select next_offset from positions_{generation} where lane = %s", (lane,))
    known = cursor.fetchone()
    if known and known[0] > record.offset:
        return
    cursor.execute(
        f"insert into positions_{generation} values (%s, %s) on conflict (lane)"
        " do update set next_offset = excluded.next_offset", (lane, record.offset + 1))
    if record.topic == CUSTOMERS:
        customer = record.key.decode()
        cursor.execute(f"delete from names_{generation} where customer = %s", (customer,))
        if record.value is not None:
            cursor.execute(f"insert into names_{generation} values (%s, %s)",
                           (customer, json.loads(record.value)["name"]))
        return
    event = json.loads(record.value)
    cursor.execute(
        f"insert into deeds_{generation} values (%s, %s, %s, %s, %s)",
        (f"{lane}@{record.offset}", event["order"], event.get("customer"), event.get("cents", 0),
         event["type"] == "cancelled"))


def review(cursor, record):
    """The live process is the only one that writes here, so it may look first."""
    event = json.loads(record.value) if record.topic == ORDERS else {}
    if event.get("type") == "placed" and event["cents"] >= 100_000:
        cursor.execute(
            "insert into reviews (event_id, order_id, cents) select %(id)s, %(order)s, %(cents)s"
            " where not exists (select from reviews where event_id = %(id)s)", event)


def keep_up():
    db = connect()
    source = consumer(group_id=os.environ["GROUP_ID"])
    source.subscribe([CUSTOMERS, ORDERS])
    while True:
        for lane, records in source.poll(timeout_ms=300, max_records=10).items():
            for record in records:
                apply(db, record)
            source.commit({lane: OffsetAndMetadata(records[-1].offset + 1, "", -1)})


def apply(db, record):
    for _ in range(5):
        try:
            with db, db.cursor() as cursor:
                take_up(cursor, live_view(cursor), record)
                review(cursor, record)
            return
        except psycopg2.errors.SerializationFailure:
            continue
    sys.exit("the database refuses again and again")


def rebuild(generation):
    db = connect()
    source = consumer(group_id=None)
    source.assign(list(LANES))
    source.seek_to_beginning()
    while not has_taken_over(db, generation):
        for records in source.poll(timeout_ms=200).values():
            with db, db.cursor() as cursor:
                for record in records:
                    take_up(cursor, generation, record)
    source.close()


def has_taken_over(db, generation):
    with db, db.cursor() as cursor:
        cursor.execute("select generation from views where live for update")
        old = cursor.fetchone()[0]
        cursor.execute(
            f"select 1 from positions_{old} o where o.next_offset > coalesce(("
            f"select n.next_offset from positions_{generation} n where n.lane = o.lane), 0)")
        if cursor.fetchone():
            return False
        cursor.execute("update views set live = (generation = %s)", (generation,))
        return True


def make_view(db, live):
    with db, db.cursor() as cursor:
        cursor.execute("insert into views (live) values (%s) returning generation", (live,))
        generation = cursor.fetchone()[0]
        cursor.execute(MAKE.format(generation))
        return generation


def row(db, customer):
    db.set_session(isolation_level="REPEATABLE READ")
    with db, db.cursor() as cursor:
        cursor.execute("select generation from views where live")
        generation = cursor.fetchone()[0]
        cursor.execute(ASK.format(generation), {"id": customer})
        name, orders, cents, positions = cursor.fetchone()
    told = {"as_of": positions or {}, "generation": generation}
    if name is None:
        return 404, told
    return 200, told | {
        "customer": customer, "name": name, "open_orders": orders, "total_cents": int(cents)}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        kind, id = url.path.strip("/").split("/")
        db = connect()
        try:
            if kind == "generations":
                with db, db.cursor() as cursor:
                    now = live_view(cursor)
                self.reply(200 if now >= int(id) else 503, {"generation": now})
            else:
                self.reply(*self.wait_for(db, id, parse_qs(url.query)))
        finally:
            db.close()

    def wait_for(self, db, customer, query):
        lane, offset = query["after"][0].split("@") if "after" in query else ("", "-1")
        until = time.monotonic() + 2
        while True:
            status, told = row(db, customer)
            if told["as_of"].get(lane, 0) > int(offset):
                return status, told
            if time.monotonic() > until:
                return 503, {}
            time.sleep(0.1)

    def do_POST(self):
        db = connect()
        generation = make_view(db, live=False)
        db.close()
        multiprocessing.Process(target=rebuild, args=(generation,)).start()
        self.reply(202, {"generation": generation})

    def reply(self, status, told):
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *told):
        pass


class Server(socketserver.TCPServer):
    """Answers one question at a time."""

    allow_reuse_address = True


def serve():
    Server(("", int(os.environ["PORT"])), Handler).serve_forever()


def main():
    db = connect()
    with db, db.cursor() as cursor:
        cursor.execute(REGISTRY)
        cursor.execute("select 1 from views where live")
        is_new = cursor.fetchone() is None
    if is_new:
        make_view(db, live=True)
    db.close()
    parts = [multiprocessing.Process(target=part) for part in (serve, keep_up)]
    for part in parts:
        part.start()
    signal.signal(signal.SIGTERM, lambda signum, frame: stop(parts))
    while all(part.is_alive() for part in parts):
        time.sleep(0.1)
    stop(parts, 1)


def stop(parts, code=0):
    for part in parts:
        part.kill()
    os._exit(code)


main()
