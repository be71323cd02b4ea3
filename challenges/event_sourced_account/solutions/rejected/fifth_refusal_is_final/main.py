"""Confluent-kafka, threads, psycopg3, advisory locks, outbox table."""

import json
import logging
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from psycopg.types.json import Jsonb

logging.basicConfig(level=logging.INFO, format="%(threadName)s: %(message)s")
log = logging.getLogger("es")
ENV = os.environ
running = True


def connect():
    return psycopg.connect(ENV["DATABASE_URL"], autocommit=True, connect_timeout=5)


class Db:
    def __init__(self):
        self.c = None

    def run(self, work, patience):
        until = time.monotonic() + patience
        n = 0
        while True:
            try:
                if self.c is None or self.c.closed:
                    self.c = connect()
                with self.c.transaction():
                    return work(self.c)
            except psycopg.Error as e:
                n += 1
                log.info("db refused (%d): %s", n, e)
                if isinstance(e, psycopg.OperationalError) and not e.sqlstate:
                    try:
                        self.c and self.c.close()
                    except Exception:
                        pass
                    self.c = None
                if time.monotonic() > until:
                    raise
                time.sleep(min(0.05 * n, 0.5))


def setup(c):
    c.execute("select pg_advisory_xact_lock(4711)")
    c.execute("create table if not exists outbox (seq bigserial primary key, key text, value text)")


def normal(type, format, data):
    """As format 2 has it."""
    if type == "moved":
        text = data["amount"]
        negative = text.startswith("-")
        euros, cents = text.lstrip("+-").split(".")
        amount = int(euros) * 100 + int(cents)
        return ("withdrawn" if negative else "deposited"), amount
    return type, int(data["amount"])


def load(c, account, version=None, at=None):
    if at is not None:
        rows = c.execute(
            "select version, type, format, data from events where account=%s and version <="
            " (select max(version) from events where account=%s and recorded_at <= %s::timestamptz)"
            " order by version",
            (account, account, at),
        ).fetchall()
    elif version is not None:
        rows = c.execute(
            "select version, type, format, data from events where account=%s and version <= %s"
            " order by version",
            (account, version),
        ).fetchall()
    else:
        rows = c.execute(
            "select version, type, format, data from events where account=%s order by version",
            (account,),
        ).fetchall()
    return [(v, *normal(t, f, d)) for v, t, f, d in rows]


def balance_of(events):
    return sum(a if t == "deposited" else -a for v, t, a in events)


def append(c, account, version, id, type, amount, balance):
    c.execute(
        "insert into events (account, version, command_id, type, format, data) values (%s,%s,%s,%s,2,%s)",
        (account, version, id, type, Jsonb({"amount": amount})),
    )
    value = json.dumps(
        {"id": id, "account": account, "version": version, "type": type, "amount": amount}
    )
    c.execute("insert into outbox (key, value) values (%s, %s)", (account, value))
    if version % 20 == 0:
        c.execute(
            "insert into snapshots (account, version, balance) values (%s,%s,%s)",
            (account, version, balance),
        )


def lock(c, account):
    c.execute("select pg_advisory_xact_lock(hashtextextended(%s, 1))", (account,))


def deposit(d):
    def work(c):
        account = d["account"]
        lock(c, account)
        if c.execute("select 1 from events where command_id=%s", (d["id"],)).fetchone():
            return
        events = load(c, account)
        append(
            c,
            account,
            len(events) + 1,
            d["id"],
            "deposited",
            d["amount"],
            balance_of(events) + d["amount"],
        )

    return work


def withdraw(account, cmd):
    def work(c):
        lock(c, account)
        row = c.execute(
            "select account, version from events where command_id=%s", (cmd["id"],)
        ).fetchone()
        events = load(c, account)
        if row:
            return 201, {
                "version": row[1],
                "balance": balance_of([e for e in events if e[0] <= row[1]]),
            }
        if cmd.get("expected_version") is not None and cmd["expected_version"] != len(events):
            return 409, {"version": len(events)}
        b = balance_of(events)
        if b < cmd["amount"]:
            return 422, {"balance": b}
        append(
            c, account, len(events) + 1, cmd["id"], "withdrawn", cmd["amount"], b - cmd["amount"]
        )
        return 201, {"version": len(events) + 1, "balance": b - cmd["amount"]}

    return work


def question(account, q, history):
    def work(c):
        v = int(q["version"]) if "version" in q else None
        events = load(c, account, v, q.get("at"))
        if not events:
            return 404, {"error": "none"}
        if history:
            return 200, {
                "account": account,
                "version": events[-1][0],
                "events": [{"version": v, "type": t, "amount": a} for v, t, a in events],
            }
        return 200, {"account": account, "version": events[-1][0], "balance": balance_of(events)}

    return work


pool, pool_lock, gate = [], threading.Lock(), threading.Semaphore(14)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        parts = url.path.split("/")
        q = dict(parse_qsl(url.query))
        self.reply(question(unquote(parts[2]), q, parts[3:] == ["history"]))

    def do_POST(self):
        cmd = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reply(withdraw(unquote(self.path.split("/")[2]), cmd))

    def reply(self, work):
        with gate:
            with pool_lock:
                db = pool.pop() if pool else Db()
            try:
                status, body = db.run(work, 3)
            except Exception as e:
                log.info("500: %s", e)
                status, body = 500, {"error": "again"}
            with pool_lock:
                pool.append(db)
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *a):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def publisher():
    try:
        producer = Producer(
            {
                "bootstrap.servers": ENV["KAFKA_BOOTSTRAP_SERVERS"],
                "enable.idempotence": True,
                "linger.ms": 1,
            }
        )
        db = Db()
        topic = ENV["ACCOUNT_EVENTS_TOPIC"]

        def work(c):
            rows = c.execute(
                "select seq, key, value from outbox order by seq limit 200 for update skip locked"
            ).fetchall()
            if not rows:
                return 0
            bad = []
            for _, k, v in rows:
                producer.produce(
                    topic, key=k, value=v, on_delivery=lambda e, m: bad.append(e) if e else None
                )
            if producer.flush(20) or bad:
                raise RuntimeError(f"not delivered {bad}")
            c.execute("delete from outbox where seq = any(%s)", ([r[0] for r in rows],))
            return len(rows)

        while running:
            if not db.run(work, 60):
                time.sleep(0.05)
    except BaseException as e:
        log.exception("publisher died")
        os._exit(1)


def main():
    def stop(*a):
        global running
        running = False

    signal.signal(signal.SIGTERM, stop)
    db = Db()
    db.run(setup, 30)
    threading.Thread(
        target=Server(("127.0.0.1", int(ENV["PORT"])), Handler).serve_forever, daemon=True
    ).start()
    pub = threading.Thread(target=publisher, daemon=True)
    pub.start()
    consumer = Consumer(
        {
            "bootstrap.servers": ENV["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": ENV["GROUP_ID"],
            "client.id": ENV["INSTANCE_ID"],
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([ENV["DEPOSITS_TOPIC"]])
    while running:
        m = consumer.poll(0.2)
        if m is None:
            continue
        if m.error():
            log.info("%s", m.error())
            continue
        for attempt in range(5):
            try:
                with db.c.transaction():
                    deposit(json.loads(m.value()))(db.c)
                break
            except psycopg.Error as e:
                log.info("attempt %d: %s", attempt, e)
                if db.c.closed:
                    db.c = connect()
        try:
            consumer.commit(m, asynchronous=False)
        except KafkaException as e:
            log.info("commit: %s", e)
    consumer.close()
    pub.join(2)


try:
    main()
except Exception:
    log.exception("dies")
    os._exit(1)
