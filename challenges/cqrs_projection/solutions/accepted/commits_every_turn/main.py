"""Kafka-python, SQLAlchemy 2 on psycopg2: events are stored by generation, and the answer folds them.

A rebuild is kept in the database, and continued after a restart. Commits with every turn of its loop.
"""

import json
import logging
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
logging.getLogger("kafka").setLevel(logging.ERROR)
log = logging.getLogger("C")
E = os.environ
CT, OT = E["CUSTOMERS_TOPIC"], E["ORDERS_TOPIC"]
TPS = [
    TopicPartition(CT, 0),
    TopicPartition(CT, 1),
    TopicPartition(OT, 0),
    TopicPartition(OT, 1),
    TopicPartition(OT, 2),
]
engine = create_engine(
    E["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://"),
    pool_size=6,
    max_overflow=6,
    isolation_level="READ COMMITTED",
)
stop = threading.Event()

DDL = [
    "create table if not exists current (id int primary key, gen int not null, wanted int not null)",
    "insert into current values (1, 1, 1) on conflict do nothing",
    "create table if not exists reached (gen int, part text, next bigint, primary key (gen, part))",
    "create table if not exists event (gen int, part text, at bigint, customer text, name text, ord text, kind text, cents bigint, primary key (gen, part, at))",
    "create index if not exists event_c on event (gen, customer)",
    "create index if not exists event_o on event (gen, ord)",
]


def part(tp):
    return ("customers" if tp.topic == CT else "orders") + "-" + str(tp.partition)


def run(f):
    while True:
        try:
            with engine.begin() as db:
                return f(db)
        except DBAPIError as e:
            if getattr(e.orig, "pgcode", None) != "40001":
                raise
            time.sleep(0.02)


def save(db, gen, m):
    e = None if m.value is None else json.loads(m.value)
    row = {
        "gen": gen,
        "part": part(m),
        "at": m.offset,
        "customer": None,
        "name": None,
        "ord": None,
        "kind": None,
        "cents": None,
    }
    if m.topic == CT:
        row.update(customer=m.key.decode(), kind="named", name=e["name"] if e else None)
    else:
        row.update(customer=e.get("customer"), ord=e["order"], kind=e["type"], cents=e.get("cents"))
    db.execute(
        text(
            "insert into event values (:gen, :part, :at, :customer, :name, :ord, :kind, :cents) on conflict do nothing"
        ),
        row,
    )


def reach(db, gen, p, n):
    db.execute(
        text(
            "insert into reached values (:g, :p, :n) on conflict (gen, part) do update set next = greatest(reached.next, excluded.next)"
        ),
        {"g": gen, "p": p, "n": n},
    )


def reached(db, gen):
    return dict(
        db.execute(text("select part, next from reached where gen = :g"), {"g": gen}).fetchall()
    )


def review(m):
    e = json.loads(m.value) if m.topic == OT and m.value else None
    if not e or e["type"] != "placed" or e["cents"] < 100_000:
        return

    def f(db):
        if (
            db.execute(text("select 1 from reviews where event_id = :i"), {"i": e["id"]}).first()
            is None
        ):
            db.execute(
                text("insert into reviews (event_id, order_id, cents) values (:i, :o, :c)"),
                {"i": e["id"], "o": e["order"], "c": e["cents"]},
            )

    run(f)


def take_up(m):
    review(m)

    def f(db):
        gen = db.execute(text("select gen from current for share")).scalar()
        if m.offset >= reached(db, gen).get(part(m), 0):
            save(db, gen, m)
            reach(db, gen, part(m), m.offset + 1)

    run(f)


def live():
    k = KafkaConsumer(
        bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=E["GROUP_ID"],
        client_id=E["INSTANCE_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=6000,
        heartbeat_interval_ms=1500,
    )
    k.subscribe([CT, OT])
    due = {}
    while not stop.is_set():
        for tp, ms in k.poll(timeout_ms=5, max_records=30).items():
            for m in ms:
                take_up(m)
                due[tp] = m.offset + 1
        try:
            k.commit()  # what poll() returned is all in the view by now
        except KafkaError as e:
            log.warning("commit: %r", e)
    os._exit(0)


def rebuild(gen):
    k = KafkaConsumer(
        bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=None,
        client_id=E["INSTANCE_ID"] + "-again",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    k.assign(TPS)
    with engine.begin() as db:
        was = reached(db, gen)
    for tp in TPS:
        if part(tp) in was:
            k.seek(tp, was[part(tp)])
        else:
            k.seek(tp, 0)
    while not stop.is_set():
        got = k.poll(timeout_ms=200, max_records=100)

        def add(db):
            for tp, ms in got.items():
                for m in ms:
                    save(db, gen, m)
                    reach(db, gen, part(tp), m.offset + 1)
            for tp in TPS:
                reach(db, gen, part(tp), k.position(tp))

        run(add)

        def change(db):
            now = db.execute(text("select gen from current for update")).scalar()
            mine = reached(db, gen)
            if all(mine.get(p, 0) >= n for p, n in reached(db, now).items()):
                db.execute(text("update current set gen = :g"), {"g": gen})
                return True

        if run(change):
            break
    k.close()
    with engine.begin() as db:
        db.execute(text("delete from event where gen < (select gen from current)"))
        db.execute(text("delete from reached where gen < (select gen from current)"))


QUERY = text("""
with g as (select gen from current),
 named as (select name from event where gen = (select gen from g) and customer = :c and kind = 'named' order by at desc limit 1),
 mine as (select ord from event where gen = (select gen from g) and customer = :c and kind = 'placed'
          and not exists (select from event x where x.gen = event.gen and x.ord = event.ord and x.kind = 'cancelled'))
select (select gen from g), (select json_object_agg(part, next) from reached where gen = (select gen from g)), (select name from named),
 (select count(*) from mine), (select coalesce(sum(cents), 0)::bigint from event where gen = (select gen from g) and ord in (select ord from mine))
""")


def answer(customer, after):
    until = time.time() + 3
    while True:
        with engine.connect() as db:
            gen, at, name, n, cents = db.execute(QUERY, {"c": customer}).one()
        at = at or {}
        if after:
            p, o = re.fullmatch(r"(.+)@(\d+)", after).groups()
            if at.get(p, 0) < int(o) + 1:
                if time.time() >= until:
                    return 503, {}
                time.sleep(0.05)
                continue
        base = {"as_of": at, "generation": gen}
        return (
            (404, base)
            if name is None
            else (
                200,
                {
                    "customer": customer,
                    "name": name,
                    "open_orders": n,
                    "total_cents": cents,
                    **base,
                },
            )
        )


class H(BaseHTTPRequestHandler):
    def do_GET(self):
        u = urlsplit(self.path)
        _, kind, what = u.path.split("/")
        if kind == "customers":
            self.send(*answer(what, parse_qs(u.query).get("after", [""])[0]))
        else:
            with engine.connect() as db:
                self.send(
                    200
                    if db.execute(text("select gen from current")).scalar() >= int(what)
                    else 503,
                    {},
                )

    def do_POST(self):
        with engine.begin() as db:
            gen, wanted = db.execute(text("select gen, wanted from current for update")).one()
            if wanted == gen:
                wanted += 1
                db.execute(text("update current set wanted = :w"), {"w": wanted})
                threading.Thread(target=fatal, args=(rebuild, wanted)).start()
        self.send(202, {"generation": wanted})

    def send(self, status, o):
        b = json.dumps(o).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(b)))
        self.end_headers()
        self.wfile.write(b)

    def log_message(self, *a):
        pass


def fatal(f, *a):
    try:
        f(*a)
    except BaseException:
        log.exception("fatal")
        os._exit(2)


signal.signal(signal.SIGTERM, lambda *_: stop.set())
with engine.begin() as db:
    for d in DDL:
        db.execute(text(d))
    gen, wanted = db.execute(text("select gen, wanted from current")).one()
if wanted > gen:
    threading.Thread(target=fatal, args=(rebuild, wanted)).start()
server = ThreadingHTTPServer(("127.0.0.1", int(E["PORT"])), H)
threading.Thread(target=server.serve_forever, daemon=True).start()
fatal(live)
