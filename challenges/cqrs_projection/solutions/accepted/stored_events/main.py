"""Keeps the records themselves, by their place, and makes each row when it is asked for.

A record that comes again is at a place that is taken. One loop reads for the live view and for the
rebuild in turn. Offsets are committed by the client's timer, but only what was stored here. Any
error of the database ends the program; it is started again.
"""

import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import psycopg
from confluent_kafka import Consumer, TopicPartition
from psycopg.types.json import Jsonb

TOPICS = {os.environ["CUSTOMERS_TOPIC"]: "customers", os.environ["ORDERS_TOPIC"]: "orders"}
LANES = {"customers": 2, "orders": 3}
TABLES = """
    create table if not exists records (
        view int, lane text, place bigint, key text, value jsonb, primary key (view, lane, place));
    create index if not exists records_by_key on records (view, key);
    create index if not exists records_by_customer on records (view, (value->>'customer'));
    create table if not exists views (
        view int primary key, answers bool not null default false, made_at timestamptz);
    insert into views values (1, true, now()) on conflict do nothing;
    create table if not exists seen (event_id text primary key);
"""
ROW = """
    with mine as (
        select o.key, o.value from records o where o.view = %(view)s and o.lane like 'orders-%%'
        and o.key in (select p.key from records p where p.view = %(view)s
                      and p.lane like 'orders-%%' and p.value->>'customer' = %(id)s)),
    sums as (
        select key, sum(coalesce((value->>'cents')::bigint, 0)) as cents from mine
        group by key having not bool_or(value->>'type' = 'cancelled'))
    select (select value->>'name' from records where view = %(view)s and key = %(id)s
            and lane like 'customers-%%' order by place desc limit 1),
           (select count(*) from sums), (select coalesce(sum(cents), 0)::bigint from sums),
           (select jsonb_object_agg(lane, last + 1) from (
               select lane, max(place) as last from records where view = %(view)s group by lane) l)
"""


def connect():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def settings(**more):
    return {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "client.id": os.environ["INSTANCE_ID"], "group.id": os.environ["GROUP_ID"],
            "auto.offset.reset": "earliest", "isolation.level": "read_committed", **more}


def answering(db):
    return db.execute("select view from views where answers").fetchone()[0]


def store(db, view, messages):
    for m in messages:
        value = json.loads(m.value()) if m.value() is not None else None
        db.execute("insert into records values (%s, %s, %s, %s, %s) on conflict do nothing",
                   (view, f"{TOPICS[m.topic()]}-{m.partition()}", m.offset(), m.key().decode(),
                    Jsonb(value)))


def review(db, messages):
    for m in messages:
        event = json.loads(m.value()) if m.value() is not None else {}
        if event.get("type") == "placed" and event["cents"] >= 100_000:
            if db.execute("insert into seen values (%s) on conflict do nothing",
                          (event["id"],)).rowcount:
                db.execute("insert into reviews (event_id, order_id, cents)"
                           " values (%(id)s, %(order)s, %(cents)s)", event)


class Loop:
    """Reads for both views; only this thread writes."""

    def __init__(self):
        self.db = connect()
        self.live = Consumer(settings(**{
            "enable.auto.offset.store": False, "auto.commit.interval.ms": 2000}))
        self.live.subscribe(list(TOPICS))
        self.second = None
        self.view = None
        self.stopping = False

    def run(self):
        while not self.stopping:
            messages = read(self.live, 0.1)
            if messages:
                with self.db.transaction():
                    store(self.db, answering(self.db), messages)
                    review(self.db, messages)
                for message in messages:
                    self.live.store_offsets(message)
            self.go_on_rebuilding()
        self.live.close()

    def go_on_rebuilding(self):
        wanted = self.db.execute("select max(view) from views where made_at is null").fetchone()[0]
        if wanted is None:
            return
        if wanted != self.view:
            self.view, self.second = wanted, Consumer(settings(**{"enable.auto.commit": False}))
            self.second.assign([TopicPartition(topic, p, 0) for topic, name in TOPICS.items()
                                for p in range(LANES[name])])
        with self.db.transaction():
            store(self.db, wanted, read(self.second, 0.1))
            old = answering(self.db)
            missing = self.db.execute(
                "select 1 from records o where o.view = %s and not exists (select from records n"
                " where n.view = %s and n.lane = o.lane and n.place = o.place) limit 1",
                (old, wanted)).fetchone()
            if missing:
                return
            self.db.execute("update views set answers = (view = %s)", (wanted,))
            self.db.execute("update views set made_at = now() where view = %s", (wanted,))
            self.db.execute("delete from records where view <> %s", (wanted,))
        self.second.close()


def read(consumer, timeout):
    return [m for m in consumer.consume(100, timeout=timeout) if not m.error()]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        _, kind, id = url.path.split("/")
        with connect() as db:
            if kind == "generations":
                return self.reply(200 if answering(db) >= int(id) else 503, {})
            lane, _, place = parse_qs(url.query).get("after", ["@-1"])[0].partition("@")
            until = time.monotonic() + 2.5
            while time.monotonic() < until:
                status, told = self.row(db, id)
                if told["as_of"].get(lane, 0) > int(place):
                    return self.reply(status, told)
                time.sleep(0.1)
        self.reply(503, {"error": "the record is not here yet"})

    def row(self, db, id):
        with db.transaction():
            db.execute("set transaction isolation level repeatable read")
            view = answering(db)
            name, orders, cents, as_of = db.execute(ROW, {"view": view, "id": id}).fetchone()
        told = {"as_of": as_of or {}, "generation": view}
        if name is None:
            return 404, told
        return 200, told | {
            "customer": id, "name": name, "open_orders": orders, "total_cents": cents}

    def do_POST(self):
        with connect() as db, db.transaction():
            unfinished = db.execute("select max(view) from views where made_at is null").fetchone()
            view = unfinished[0] or db.execute(
                "insert into views select max(view) + 1 from views returning view").fetchone()[0]
        self.reply(202, {"generation": view})

    def reply(self, status, told):
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *told):
        pass


def main():
    with connect() as db:
        db.execute(TABLES)
    server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    loop = Loop()
    signal.signal(signal.SIGTERM, lambda signum, frame: setattr(loop, "stopping", True))
    loop.run()


main()
