"""REPEATABLE READ, psycopg2. A table of commands (primary key: the id) and one of accounts (row lock, balance kept) decide; the log
is written beside. A withdrawal is answered only after its event is published. Snapshots in a transaction after."""
import json, os, signal, threading, time
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit, parse_qsl
import psycopg2, psycopg2.errors
from psycopg2.extras import Json
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata

E = os.environ
halt = threading.Event()
limit = threading.Semaphore(12)
RETRY = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.IntegrityError)
producer = None


class Db:
    c = None

    def tx(self, job, level="REPEATABLE READ", patience=None):
        end = time.monotonic() + (patience or 10**9)
        while True:
            try:
                if self.c is None or self.c.closed:
                    self.c = psycopg2.connect(E["DATABASE_URL"])
                    self.c.set_session(isolation_level=level)
                with self.c, self.c.cursor() as cur:
                    return job(cur)
            except RETRY as e:
                print("db", type(e).__name__, str(e)[:60].replace("\n", " "), flush=True)
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def close(self):
        if self.c:
            self.c.close()


SETUP = """
select pg_advisory_xact_lock(31337);
create table if not exists commands (id text primary key, account text not null, version int not null, balance bigint not null);
create table if not exists accounts (account text primary key, version int not null, balance bigint not null);
create table if not exists unpublished (id text primary key, account text not null, record text not null, since timestamptz default now());
create table if not exists begun (one int primary key);
"""


def cents(t, f, d):
    if f == 1:
        n = Decimal(d["amount"]).scaleb(2)
        return int(n)
    return d["amount"] if t == "deposited" else -d["amount"]


def setup(cur):
    cur.execute(SETUP)
    cur.execute("insert into begun values (1) on conflict do nothing returning 1")
    if cur.fetchone():
        cur.execute("select account, version, command_id, type, format, data from events order by account, version")
        bal, ver = {}, {}
        for a, v, i, t, f, d in cur.fetchall():
            bal[a] = bal.get(a, 0) + cents(t, f, d)
            ver[a] = v
        for a in bal:
            cur.execute("insert into accounts values (%s,%s,%s)", (a, ver[a], bal[a]))


class Refused(Exception):
    pass


def decide(db, account, cmd, t, patience=None):
    """(status, body, new?)"""
    def job(cur):
        cur.execute("select version, balance from commands where id=%s", (cmd["id"],))
        r = cur.fetchone()
        if r:
            return 201, {"version": r[0], "balance": r[1]}, False
        cur.execute("insert into accounts values (%s,0,0) on conflict do nothing", (account,))
        cur.execute("select version, balance from accounts where account=%s for update", (account,))
        r = cur.fetchone()
        if r is None:
            raise psycopg2.OperationalError("the account was opened meanwhile")
        v, b = r
        if cmd.get("expected_version") is not None and cmd["expected_version"] != v:
            raise Refused(409)
        b += cmd["amount"] if t == "deposited" else -cmd["amount"]
        if b < 0:
            raise Refused(422)
        v += 1
        cur.execute("insert into commands values (%s,%s,%s,%s)", (cmd["id"], account, v, b))
        cur.execute("update accounts set version=%s, balance=%s where account=%s", (v, b, account))
        cur.execute("insert into events (account, version, command_id, type, data) values (%s,%s,%s,%s,%s)",
                    (account, v, cmd["id"], t, Json({"amount": cmd["amount"]})))
        cur.execute("insert into unpublished (id, account, record) values (%s,%s,%s)", (cmd["id"], account, json.dumps(
            {"id": cmd["id"], "account": account, "version": v, "type": t, "amount": cmd["amount"]})))
        return 201, {"version": v, "balance": b}, True
    try:
        s, b, new = db.tx(job, patience=patience)
    except Refused as e:
        return e.args[0], {}, False
    if new and b["version"] % 20 == 0:
        db.tx(lambda cur: cur.execute("insert into snapshots (account, version, balance) values (%s,%s,%s)", (account, b["version"], b["balance"])))
    return s, b, new


def publish(db, where, *args):
    def job(cur):
        cur.execute(f"select id, account, record from unpublished where {where} for update skip locked", args)
        rows = cur.fetchall()
        fs = [producer.send(E["ACCOUNT_EVENTS_TOPIC"], key=a.encode(), value=r.encode()) for _, a, r in rows]
        for f in fs:
            f.get(timeout=15)
        for i, _, _ in rows:
            cur.execute("delete from unpublished where id=%s", (i,))
    db.tx(job)


def sweep():
    db = Db()
    while True:
        time.sleep(0.5)
        try:
            publish(db, "since < clock_timestamp() - interval '1500 ms'")
        except Exception as e:
            print("sweep", repr(e)[:100], flush=True)


class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        u = urlsplit(self.path)
        p = u.path.split("/")
        q = dict(parse_qsl(u.query))

        def job(cur):
            cur.execute("select version, type, format, data, (extract(epoch from recorded_at)*1000)::bigint,"
                        " (extract(epoch from %s::timestamptz)*1000)::bigint from events where account=%s order by version",
                        (q.get("at"), p[2]))
            rows = cur.fetchall()
            n = len(rows)
            if "at" in q:
                n = max([v for v, _, _, _, at, ask in rows if at <= ask], default=0)
            if "version" in q:
                n = int(q["version"])
            return rows[:n]
        db = Db()
        try:
            with limit:
                rows = db.tx(job, patience=3)
        except Exception as e:
            return self.out(500, {})
        finally:
            db.close()
        if not rows:
            return self.out(404, {})
        d = [cents(t, f, x) for _, t, f, x, _, _ in rows]
        a = {"account": p[2], "version": len(rows)}
        if p[3:] == ["history"]:
            a["events"] = [{"version": i + 1, "type": "deposited" if n > 0 else "withdrawn", "amount": abs(n)} for i, n in enumerate(d)]
        else:
            a["balance"] = sum(d)
        self.out(200, a)

    def do_POST(self):
        cmd = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        db = Db()
        try:
            with limit:
                s, b, new = decide(db, self.path.split("/")[2], cmd, "withdrawn", 6)
                if new:
                    publish(db, "id = %s", cmd["id"])
        except Exception as e:
            print("post", repr(e)[:100], flush=True)
            s, b = 500, {}
        finally:
            db.close()
        self.out(s, b)

    def out(self, s, a):
        b = json.dumps(a).encode()
        self.send_response(s)
        self.send_header("Content-Length", str(len(b)))
        self.end_headers()
        self.wfile.write(b)

    def log_message(self, *a):
        pass


class Srv(ThreadingHTTPServer):
    request_queue_size = 100


signal.signal(signal.SIGTERM, lambda *a: halt.set())
db = Db()
db.tx(setup, level="READ COMMITTED")
db.close()
db = Db()
producer = KafkaProducer(bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"], acks="all")
threading.Thread(target=Srv(("127.0.0.1", int(E["PORT"])), H).serve_forever, daemon=True).start()
threading.Thread(target=sweep, daemon=True).start()
con = KafkaConsumer(E["DEPOSITS_TOPIC"], bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"], group_id=E["GROUP_ID"], client_id=E["INSTANCE_ID"],
                    enable_auto_commit=False, auto_offset_reset="earliest")
while not halt.is_set():
    for tp, ms in con.poll(200, max_records=10).items():
        for m in ms:
            d = json.loads(m.value)
            if decide(db, d["account"], d, "deposited")[2]:
                publish(db, "id = %s", d["id"])
        try:
            con.commit({tp: OffsetAndMetadata(ms[-1].offset + 1, "", -1)})
        except Exception as e:
            print("commit", repr(e)[:100], flush=True)
con.close()
os._exit(0)
