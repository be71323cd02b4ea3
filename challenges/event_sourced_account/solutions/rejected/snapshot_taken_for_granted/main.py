"""Kafka-python; one consumer thread with poll 10 ms and a commit at every turn; psycopg2; row lock per account;
own table `sent` (high-water marks by entry)."""

import json
import os
import signal
import sys
import threading
import time
import traceback
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import psycopg2
import psycopg2.extras
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

E = os.environ
stopping = threading.Event()


def tx(fn, patience=3.0, box={}):
    end = time.time() + patience
    while True:
        key = threading.get_ident()
        try:
            conn = psycopg2.connect(E["DATABASE_URL"])
            try:
                with conn:
                    with conn.cursor() as cur:
                        out = fn(cur)
                return out
            finally:
                conn.close()
        except psycopg2.Error as e:
            print("db:", repr(e), flush=True)
            if time.time() > end:
                raise
            time.sleep(0.1)


def setup(cur):
    cur.execute("select pg_advisory_xact_lock(77)")
    cur.execute("select to_regclass('public.heads') is null")
    if cur.fetchone()[0]:
        cur.execute(
            "create table heads (account text primary key, version int not null, balance bigint not null)"
        )
        cur.execute("create table todo (account text, version int, primary key (account, version))")


def upcast(type, data):
    if type == "moved":
        cents = int(Decimal(data["amount"]) * 100)
        return {"type": "deposited" if cents > 0 else "withdrawn", "amount": abs(cents)}
    return {"type": type, "amount": data["amount"]}


def signed(e):
    return e["amount"] if e["type"] == "deposited" else -e["amount"]


def state_at(cur, account, version):
    """from the latest right snapshot on"""
    cur.execute(
        "select version, balance from snapshots where account=%s and version=%s limit 1",
        (account, version // 20 * 20),
    )
    row = cur.fetchone() or (version // 20 * 20, 0)
    cur.execute(
        "select type, data from events where account=%s and version>%s and version<=%s",
        (account, row[0], version),
    )
    return row[1] + sum(signed(upcast(*r)) for r in cur.fetchall())


def head(cur, account):
    """locks the account's row; the head is rebuilt from the log when there is no row"""
    cur.execute("insert into heads values (%s, 0, 0) on conflict do nothing", (account,))
    cur.execute("select 1 from heads where account=%s for update", (account,))
    cur.execute("select coalesce(max(version),0) from events where account=%s", (account,))
    v = cur.fetchone()[0]
    return v, state_at(cur, account, v)


def append(cur, account, id, type, amount, version, balance):
    cur.execute(
        "insert into events (account,version,command_id,type,data) values (%s,%s,%s,%s,%s)",
        (account, version, id, type, json.dumps({"amount": amount})),
    )
    cur.execute("insert into todo values (%s,%s)", (account, version))
    if version % 20 == 0:
        cur.execute(
            "insert into snapshots (account,version,balance) values (%s,%s,%s)",
            (account, version, balance),
        )


def deposit(cur, d):
    v, b = head(cur, d["account"])
    cur.execute("select 1 from events where command_id=%s", (d["id"],))
    if not cur.fetchone():
        append(cur, d["account"], d["id"], "deposited", d["amount"], v + 1, b + d["amount"])


def withdraw(cur, account, cmd):
    v, b = head(cur, account)
    cur.execute(
        "select version from events where command_id=%s and account=%s", (cmd["id"], account)
    )
    r = cur.fetchone()
    if r:
        return 201, {"version": r[0], "balance": state_at(cur, account, r[0])}
    if cmd.get("expected_version", v) not in (v, None):
        return 409, {}
    if b < cmd["amount"]:
        return 422, {}
    append(cur, account, cmd["id"], "withdrawn", cmd["amount"], v + 1, b - cmd["amount"])
    return 201, {"version": v + 1, "balance": b - cmd["amount"]}


def moment(cur, account, q):
    if "at" in q:
        cur.execute(
            "select max(version) from events where account=%s and recorded_at<=%s::timestamptz",
            (account, q["at"][0]),
        )
    elif "version" in q:
        cur.execute(
            "select max(version) from events where account=%s and version<=%s",
            (account, int(q["version"][0])),
        )
    else:
        cur.execute("select max(version) from events where account=%s", (account,))
    return cur.fetchone()[0]


def ask(cur, account, q, history):
    v = moment(cur, account, q)
    if not v:
        return 404, {}
    if not history:
        return 200, {"account": account, "version": v, "balance": state_at(cur, account, v)}
    cur.execute(
        "select version, type, data from events where account=%s and version<=%s order by version",
        (account, v),
    )
    return 200, {
        "account": account,
        "version": v,
        "events": [dict(upcast(t, d), version=n) for n, t, d in cur.fetchall()],
    }


slots = threading.BoundedSemaphore(12)


class H(BaseHTTPRequestHandler):
    def out(self, fn):
        try:
            with slots:
                s, b = tx(fn)
        except Exception as e:
            traceback.print_exc()
            s, b = 503, {"error": str(e)}
        b = json.dumps(b).encode()
        self.send_response(s)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(b)))
        self.end_headers()
        self.wfile.write(b)

    def do_GET(self):
        u = urlparse(self.path)
        p = u.path.strip("/").split("/")
        q = parse_qs(u.query)
        self.out(lambda cur: ask(cur, p[1], q, len(p) > 2))

    def do_POST(self):
        cmd = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        a = self.path.strip("/").split("/")[1]
        self.out(lambda cur: withdraw(cur, a, cmd))

    def log_message(self, *a):
        pass


def publish_loop():
    try:
        p = KafkaProducer(bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"], acks="all", retries=10)
        conn = None

        def step(cur):
            cur.execute("select pg_try_advisory_xact_lock(78)")
            if not cur.fetchone()[0]:
                return 0
            cur.execute(
                "select e.account, e.version, e.command_id, e.type, e.data from todo t join events e"
                " on e.account=t.account and e.version=t.version order by e.entry limit 100"
            )
            rows = cur.fetchall()
            fs = [
                p.send(
                    E["ACCOUNT_EVENTS_TOPIC"],
                    key=a.encode(),
                    value=json.dumps(
                        {"id": i, "account": a, "version": v, "type": t, "amount": d["amount"]}
                    ).encode(),
                )
                for a, v, i, t, d in rows
            ]
            for f in fs:
                f.get(20)
            for a, v, *_ in rows:
                cur.execute("delete from todo where account=%s and version=%s", (a, v))
            return len(rows)

        while not stopping.is_set():
            if not tx(step, 60):
                time.sleep(0.2)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


class S(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


def main():
    signal.signal(signal.SIGTERM, lambda *a: stopping.set())
    tx(setup, 30)
    threading.Thread(target=S(("", int(E["PORT"])), H).serve_forever, daemon=True).start()
    threading.Thread(target=publish_loop, daemon=True).start()
    c = KafkaConsumer(
        E["DEPOSITS_TOPIC"],
        bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=E["GROUP_ID"],
        client_id=E["INSTANCE_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=20,
    )
    while not stopping.is_set():
        for tp, ms in c.poll(timeout_ms=10).items():
            for m in ms:
                d = json.loads(m.value)
                tx(lambda cur: deposit(cur, d), 60)
        try:
            c.commit()
        except KafkaError as e:
            print("commit:", repr(e), flush=True)
    c.close(autocommit=False)


try:
    main()
except BaseException:
    traceback.print_exc()
    os._exit(1)
