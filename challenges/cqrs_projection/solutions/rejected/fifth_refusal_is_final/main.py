"""Confluent-kafka, psycopg 3, threads, generation column, totals computed by the query, batches."""

import json
import logging
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import psycopg
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
log = logging.getLogger("A")
E = os.environ
CUST, ORD = E["CUSTOMERS_TOPIC"], E["ORDERS_TOPIC"]
NAME = {CUST: "customers", ORD: "orders"}
PARTS = {CUST: 2, ORD: 3}
URL = E["DATABASE_URL"]
STOP = threading.Event()

DDL = """
create table if not exists state (id int primary key, gen int not null, promised int not null);
insert into state values (1, 1, 1) on conflict do nothing;
create table if not exists pos (gen int, part text, next bigint not null, primary key (gen, part));
create table if not exists cust (gen int, customer text, name text, primary key (gen, customer));
create table if not exists ord (gen int, ord text, customer text not null, cents bigint not null,
    is_open boolean not null, primary key (gen, ord));
create index if not exists ord_customer on ord (gen, customer);
"""


def connect():
    return psycopg.connect(URL, autocommit=True)


def in_transaction(db, f):
    """Run f in one transaction, again if the database refuses it."""
    for _ in range(5):
        try:
            with db.transaction():
                return f(db)
        except psycopg.errors.SerializationFailure:
            log.info("refused, again")
            time.sleep(0.05)


def apply(db, gen, m):
    topic, value = m.topic(), m.value()
    if topic == CUST:
        name = None if value is None else json.loads(value)["name"]
        db.execute(
            "insert into cust values (%s, %s, %s) on conflict (gen, customer) do update set name = excluded.name",
            (gen, m.key().decode(), name),
        )
        return
    if value is None:
        return
    e = json.loads(value)
    if e["type"] == "placed":
        db.execute(
            "insert into ord values (%s, %s, %s, %s, true)",
            (gen, e["order"], e["customer"], e["cents"]),
        )
    elif e["type"] == "changed":
        db.execute(
            "update ord set cents = cents + %s where gen = %s and ord = %s",
            (e["cents"], gen, e["order"]),
        )
    elif e["type"] == "cancelled":
        db.execute("update ord set is_open = false where gen = %s and ord = %s", (gen, e["order"]))


def review(db, m):
    if m.topic() != ORD or m.value() is None:
        return
    e = json.loads(m.value())
    if e["type"] == "placed" and e["cents"] >= 100000:
        db.execute(
            "insert into reviews (event_id, order_id, cents) select %s, %s, %s "
            "where not exists (select from reviews where event_id = %s)",
            (e["id"], e["order"], e["cents"], e["id"]),
        )


def positions(db, gen):
    return dict(db.execute("select part, next from pos where gen = %s", (gen,)).fetchall())


def take_up(db, gen, batch, at):
    """Apply records and ends of partitions that are new for this view."""
    new = dict(at)
    for m in batch:
        part = f"{NAME[m.topic()]}-{m.partition()}"
        if m.error():
            new[part] = max(new.get(part, 0), m.offset())
        elif m.offset() >= new.get(part, 0):
            apply(db, gen, m)
            new[part] = m.offset() + 1
    for part, n in new.items():
        if n != at.get(part, 0):
            db.execute(
                "insert into pos values (%s, %s, %s) on conflict (gen, part) do update set next = excluded.next",
                (gen, part, n),
            )


def collect(consumer, n=50):
    out = []
    for m in consumer.consume(n, 0.2):
        if m.error():
            if m.error().code() == KafkaError._PARTITION_EOF:
                out.append(m)
            else:
                log.warning("%s", m.error())
        else:
            out.append(m)
    return out


def live():
    db = connect()
    consumer = Consumer(
        {
            "bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"],
            "client.id": E["INSTANCE_ID"],
            "group.id": E["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "session.timeout.ms": 6000,
            "enable.partition.eof": True,
        }
    )
    consumer.subscribe([CUST, ORD])
    due = {}
    while not STOP.is_set():
        batch = collect(consumer)
        if batch:

            def f(db):
                gen = db.execute("select gen from state for update").fetchone()[0]
                take_up(db, gen, batch, positions(db, gen))
                for m in batch:
                    if not m.error():
                        review(db, m)

            in_transaction(db, f)
            for m in batch:
                due[m.topic(), m.partition()] = m.offset() + (0 if m.error() else 1)
        if due:
            try:
                consumer.commit(
                    offsets=[TopicPartition(t, p, o) for (t, p), o in due.items()],
                    asynchronous=False,
                )
                due = {}
            except KafkaException as e:
                log.warning("commit: %s", e)
                if e.args[0].code() in (
                    KafkaError.ILLEGAL_GENERATION,
                    KafkaError.UNKNOWN_MEMBER_ID,
                ):
                    due = {}
    consumer.close()


def rebuild(gen):
    db = connect()
    consumer = Consumer(
        {
            "bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"],
            "client.id": E["INSTANCE_ID"] + "-rebuild",
            "group.id": E["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    consumer.assign(
        [TopicPartition(t, p, OFFSET_BEGINNING) for t in PARTS for p in range(PARTS[t])]
    )
    done = False
    while not STOP.is_set() and not done:
        batch = collect(consumer, 200)
        if batch:
            in_transaction(db, lambda db: take_up(db, gen, batch, positions(db, gen)))

        def change(db):
            old = db.execute("select gen from state for update").fetchone()[0]
            mine, theirs = positions(db, gen), positions(db, old)
            if any(mine.get(p, 0) < n for p, n in theirs.items()):
                return False
            db.execute("update state set gen = %s", (gen,))
            return True

        done = in_transaction(db, change)
    consumer.close()
    if done:
        log.info("view %s", gen)
        clean(db)


def clean(db):
    for t in ("pos", "cust", "ord"):
        db.execute(f"delete from {t} where gen < (select gen from state)")


QUERY = """
select s.gen, (select json_object_agg(part, next) from pos where gen = s.gen), c.name,
  (select count(*) from ord o where o.gen = s.gen and o.customer = %(c)s and is_open),
  (select coalesce(sum(cents), 0)::bigint from ord o where o.gen = s.gen and o.customer = %(c)s and is_open)
from state s left join cust c on c.gen = s.gen and c.customer = %(c)s
"""


def answer(db, customer, after):
    until = time.monotonic() + 3
    while True:
        gen, as_of, name, n, cents = db.execute(QUERY, {"c": customer}).fetchone()
        as_of = as_of or {}
        if after:
            part, offset = after.rsplit("@", 1)
            if as_of.get(part, 0) <= int(offset):
                if time.monotonic() > until:
                    return 503, {}
                time.sleep(0.05)
                continue
        if name is None:
            return 404, {"as_of": as_of, "generation": gen}
        return 200, {
            "customer": customer,
            "name": name,
            "open_orders": n,
            "total_cents": cents,
            "as_of": as_of,
            "generation": gen,
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        with connect() as db:
            if url.path.startswith("/customers/"):
                self.reply(
                    *answer(db, url.path.split("/")[2], parse_qs(url.query).get("after", [None])[0])
                )
            elif url.path.startswith("/generations/"):
                gen = db.execute("select gen from state").fetchone()[0]
                self.reply(200 if gen >= int(url.path.split("/")[2]) else 503, {"generation": gen})
            else:
                self.reply(404, {})

    def do_POST(self):
        n = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(n)
        with connect() as db:
            gen = db.execute(
                "update state set promised = promised + 1 returning promised"
            ).fetchone()[0]
        threading.Thread(target=guard(rebuild), args=(gen,), daemon=True).start()
        self.reply(202, {"generation": gen})

    def reply(self, status, body):
        b = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(b)))
        self.end_headers()
        self.wfile.write(b)

    def log_message(self, *a):
        pass


def guard(f):
    def g(*a):
        try:
            f(*a)
        except BaseException:
            log.exception("ended")
            os._exit(1)

    return g


def main():
    signal.signal(signal.SIGTERM, lambda *a: STOP.set())
    with connect() as db:
        db.execute(DDL)
        for t in ("pos", "cust", "ord"):
            db.execute(f"delete from {t} where gen <> (select gen from state)")
    server = ThreadingHTTPServer(("127.0.0.1", int(E["PORT"])), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    guard(live)()


main()
