"""Threads, psycopg 3, advisory lock for each account, outbox table."""
import json, os, re, signal, sys, threading, time, queue
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit, parse_qsl
import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition

E = os.environ
URL = E["DATABASE_URL"]
stopping = threading.Event()


class Pool:
    def __init__(self, n):
        self.q = queue.LifoQueue()
        for _ in range(n):
            self.q.put(None)

    def run(self, job, deadline=None):
        """Run job(connection) in a transaction until it is committed; refusals are asked again."""
        try:
            c = self.q.get(timeout=4)
        except queue.Empty:
            raise TimeoutError("no connection")
        try:
            while True:
                try:
                    if c is None or c.closed:
                        c = psycopg.connect(URL)
                    with c.transaction():
                        r = job(c)
                    return r
                except (psycopg.errors.OperationalError, psycopg.errors.IntegrityError) as e:
                    print("db:", repr(e)[:200], flush=True)
                    if c is not None and (c.closed or c.broken):
                        c = None
                    if deadline and time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
        finally:
            self.q.put(c)


writers, readers = Pool(8), Pool(6)


def setup(c):
    c.execute("select pg_advisory_xact_lock(4711)")
    c.execute("create table if not exists outbox (id bigserial primary key, key text not null, value text not null)")


def amount_of(type_, fmt, data):
    """(format-2 type, cents)"""
    if fmt == 1:
        cents = int(Decimal(data["amount"]) * 100)
        return ("deposited", cents) if cents > 0 else ("withdrawn", -cents)
    return type_, int(data["amount"])


def load(c, account):
    rows = c.execute("select version, type, format, data, command_id from events where account=%s order by version",
                     (account,)).fetchall()
    out, bal = [], 0
    for v, t, f, d, cid in rows:
        t2, a = amount_of(t, f, d)
        bal += a if t2 == "deposited" else -a
        out.append((v, t2, a, bal, cid))
    return out


def append(c, account, version, cid, type_, amount, balance):
    c.execute("insert into events (account, version, command_id, type, data) values (%s,%s,%s,%s,%s)",
              (account, version, cid, type_, json.dumps({"amount": amount})))
    c.execute("insert into outbox (key, value) values (%s,%s)",
              (account, json.dumps({"id": cid, "account": account, "version": version, "type": type_, "amount": amount})))
    if version % 20 == 0:
        c.execute("insert into snapshots (account, version, balance) values (%s,%s,%s)", (account, version, balance))


def lock(c, account):
    c.execute("select pg_advisory_xact_lock(1, hashtext(%s))", (account,))


def deposit(d):
    def job(c):
        if any(e[4] == d["id"] for e in load(c, d["account"])):
            return
        lock(c, d["account"])
        evs = load(c, d["account"])
        bal = evs[-1][3] if evs else 0
        append(c, d["account"], len(evs) + 1, d["id"], "deposited", d["amount"], bal + d["amount"])
    writers.run(job)


def withdraw(account, cmd):
    def job(c):
        lock(c, account)
        evs = load(c, account)
        for e in evs:
            if e[4] == cmd["id"]:
                return 201, {"version": e[0], "balance": e[3]}
        if cmd.get("expected_version") is not None and cmd["expected_version"] != len(evs):
            return 409, {"version": len(evs)}
        bal = evs[-1][3] if evs else 0
        if bal < cmd["amount"]:
            return 422, {"balance": bal}
        append(c, account, len(evs) + 1, cmd["id"], "withdrawn", cmd["amount"], bal - cmd["amount"])
        return 201, {"version": len(evs) + 1, "balance": bal - cmd["amount"]}
    r = writers.run(job, time.monotonic() + 8)
    wake.set()
    return r


def ask(account, q, history):
    def job(c):
        evs = load(c, account)
        if "at" in q:
            (v,) = c.execute("select max(version) from events where account=%s and recorded_at <= %s::timestamptz",
                             (account, q["at"])).fetchone()
            evs = evs[:v or 0]
        if "version" in q:
            evs = evs[:int(q["version"])]
        return evs
    evs = readers.run(job, time.monotonic() + 3)
    if not evs:
        return 404, {"error": "no such account"}
    if history:
        return 200, {"account": account, "version": len(evs),
                     "events": [{"version": e[0], "type": e[1], "amount": e[2]} for e in evs]}
    return 200, {"account": account, "version": len(evs), "balance": evs[-1][3]}


class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        u = urlsplit(self.path)
        p = u.path.strip("/").split("/")
        self.go(lambda: ask(p[1], dict(parse_qsl(u.query)), len(p) > 2 and p[2] == "history"))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        account = self.path.split("/")[2]
        self.go(lambda: withdraw(account, body))

    def go(self, f):
        try:
            s, b = f()
        except Exception as e:
            print("http:", repr(e), flush=True)
            s, b = 503, {"error": "again"}
        b = json.dumps(b).encode()
        self.send_response(s)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(b)))
        self.end_headers()
        self.wfile.write(b)

    def log_message(self, *a):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


wake = threading.Event()


def publisher():
    p = Producer({"bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "acks": "all", "enable.idempotence": True})
    con = None
    while not stopping.is_set():
        try:
            if con is None or con.closed:
                con = psycopg.connect(URL)
            with con.transaction():
                rows = con.execute("select id, key, value from outbox order by id limit 50 for update skip locked").fetchall()
                if rows:
                    ok = []
                    for i, k, v in rows:
                        p.produce(E["ACCOUNT_EVENTS_TOPIC"], key=k, value=v,
                                  on_delivery=lambda e, m, i=i: e is None and ok.append(i))
                    p.flush(20)
                    con.execute("delete from outbox where id = any(%s)", (ok,))
        except Exception as e:
            print("publisher:", repr(e)[:200], flush=True)
            if con is not None and (con.broken or con.closed):
                con = None
            rows = []
        if not rows:
            wake.wait(0.2)
            wake.clear()


def main():
    signal.signal(signal.SIGTERM, lambda *a: stopping.set())
    writers.run(setup)
    threading.Thread(target=Server(("127.0.0.1", int(E["PORT"])), H).serve_forever, daemon=True).start()
    t = threading.Thread(target=publisher, daemon=True)
    t.start()
    c = Consumer({"bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "group.id": E["GROUP_ID"], "client.id": E["INSTANCE_ID"],
                  "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    c.subscribe([E["DEPOSITS_TOPIC"]])
    while not stopping.is_set():
        m = c.poll(0.2)
        if m is None:
            continue
        if m.error():
            print(m.error(), flush=True)
            continue
        deposit(json.loads(m.value()))
        wake.set()
        try:
            c.commit(message=m, asynchronous=False)
        except Exception as e:
            print("commit:", e, flush=True)
    c.close()
    t.join(3)
    os._exit(0)


main()
