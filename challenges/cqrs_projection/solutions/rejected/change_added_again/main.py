"""Threads, confluent_kafka, psycopg 3. One transaction per record; normalised tables keyed by generation; the
rebuild writes into the tables as it goes and never goes past the live view."""
import json, os, signal, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit, parse_qs
import psycopg
from psycopg import errors
from confluent_kafka import Consumer, TopicPartition, KafkaError, OFFSET_BEGINNING

E = os.environ
URL, CT, OT = E["DATABASE_URL"], E["CUSTOMERS_TOPIC"], E["ORDERS_TOPIC"]
NAME = {CT: "customers", OT: "orders"}
PARTS = [(CT, 0), (CT, 1), (OT, 0), (OT, 1), (OT, 2)]
stop = threading.Event()

DDL = """
create table if not exists live (one int primary key check (one = 1), generation int not null);
create table if not exists promised (one int primary key check (one = 1), generation int not null);
create table if not exists pos (generation int, part text, next bigint not null, primary key (generation, part));
create table if not exists reviewed (part text primary key, next bigint not null);
create table if not exists cust (generation int, customer text, name text not null, primary key (generation, customer));
create table if not exists ord (generation int, ord text, customer text not null, cents bigint not null, primary key (generation, ord));
create index if not exists ord_c on ord (generation, customer);
insert into live values (1, 1) on conflict do nothing;
insert into promised values (1, 1) on conflict do nothing;
"""


class Db:
    def __init__(self):
        self.c = None

    def run(self, job, forever=True):
        while not stop.is_set():
            try:
                if self.c is None or self.c.closed:
                    self.c = psycopg.connect(URL)
                with self.c.transaction():
                    return job(self.c)
            except psycopg.OperationalError as e:
                print("db", repr(e)[:150], flush=True)
                if self.c is not None and (self.c.broken or self.c.closed):
                    self.c = None
                if not forever:
                    raise
                time.sleep(0.05)
        raise SystemExit


def part(t, p):
    return f"{NAME[t]}-{p}"


def apply(c, gen, t, p, off, key, value):
    """Take a record into generation gen, once."""
    n = c.execute("select next from pos where generation=%s and part=%s", (gen, part(t, p))).fetchone()
    key = key.decode()
    v = json.loads(value) if value is not None else None
    if t == CT:
        if v is None:
            c.execute("delete from cust where generation=%s and customer=%s", (gen, key))
        else:
            c.execute("insert into cust values (%s,%s,%s) on conflict (generation, customer) do update set name=excluded.name",
                      (gen, key, v["name"]))
    elif v is not None:
        if v["type"] == "placed":
            c.execute("insert into ord values (%s,%s,%s,%s) on conflict (generation, ord) do nothing", (gen, v["order"], v["customer"], v["cents"]))
        elif v["type"] == "changed":
            c.execute("update ord set cents=cents+%s where generation=%s and ord=%s", (v["cents"], gen, v["order"]))
        else:
            c.execute("delete from ord where generation=%s and ord=%s", (gen, v["order"]))
    setpos(c, gen, t, p, off + 1)


def setpos(c, gen, t, p, n):
    c.execute("insert into pos values (%s,%s,%s) on conflict (generation, part) do update set next=greatest(pos.next, excluded.next)",
              (gen, part(t, p), n))


def review(c, t, p, off, value):
    if t != OT or value is None:
        return
    v = json.loads(value)
    if v["type"] != "placed" or v["cents"] < 100000:
        return
    n = c.execute("select next from reviewed where part=%s", (part(t, p),)).fetchone()
    if n and off < n[0]:
        return
    c.execute("insert into reviews (event_id, order_id, cents) values (%s,%s,%s)", (v["id"], v["order"], v["cents"]))
    c.execute("insert into reviewed values (%s,%s) on conflict (part) do update set next=excluded.next", (part(t, p), off + 1))


class Rebuild(threading.Thread):
    def __init__(self, gen):
        super().__init__(daemon=True)
        self.gen = gen

    def run(self):
        db = Db()
        con = Consumer({"bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "group.id": "none", "enable.auto.commit": False,
                        "enable.auto.offset.store": False, "auto.offset.reset": "earliest", "enable.partition.eof": True})
        con.assign([TopicPartition(t, p, 0) for t, p in PARTS])
        while not stop.is_set():
            m = con.poll(0.1)
            if m is not None:
                if m.error():
                    if m.error().code() == KafkaError._PARTITION_EOF:
                        # all before this end is read
                        db.run(lambda c: self.take(c, m.topic(), m.partition(), m.offset(), None, None, True))
                    else:
                        print(m.error(), flush=True)
                    self.try_switch(db)
                    continue
                db.run(lambda c: self.take(c, m.topic(), m.partition(), m.offset(), m.key(), m.value(), False))
            if m is None and self.try_switch(db):
                break
            if self.done:
                break
        con.close()

    done = False

    def take(self, c, t, p, off, k, v, eof):
        if eof:
            setpos(c, self.gen, t, p, off)
        else:
            apply(c, self.gen, t, p, off, k, v)

    def try_switch(self, db):
        def job(c):
            (g,) = c.execute("select generation from live for update").fetchone()
            if g >= self.gen:
                return True
            old = dict(c.execute("select part, next from pos where generation=%s", (g,)).fetchall())
            new = dict(c.execute("select part, next from pos where generation=%s", (self.gen,)).fetchall())
            if any(new.get(k, 0) < n for k, n in old.items()):
                return False
            c.execute("update live set generation=%s", (self.gen,))
            for t in ("cust", "ord", "pos"):
                c.execute(f"delete from {t} where generation < %s", (self.gen,))
            return True
        if not self.done and db.run(job):
            self.done = True
            print("live is now", self.gen, flush=True)
        return self.done


def answer(db, customer):
    def job(c):
        c.execute("set transaction isolation level repeatable read read only")
        (g,) = c.execute("select generation from live").fetchone()
        a = {"as_of": dict(c.execute("select part, next from pos where generation=%s", (g,)).fetchall()), "generation": g}
        n = c.execute("select name from cust where generation=%s and customer=%s", (g, customer)).fetchone()
        if n is None:
            return 404, a
        k, s = c.execute("select count(*), coalesce(sum(cents),0)::bigint from ord where generation=%s and customer=%s",
                         (g, customer)).fetchone()
        return 200, {"customer": customer, "name": n[0], "open_orders": k, "total_cents": s, **a}
    return db.run(job)


rebuilding = None
local = threading.local()


class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def db(self):
        return Db()

    def do_GET(self):
        u = urlsplit(self.path)
        _, what, which = u.path.split("/")
        db = Db()
        try:
            if what == "generations":
                (g,) = db.run(lambda c: c.execute("select generation from live").fetchone())
                return self.reply(200 if g >= int(which) else 503, {})
            after = parse_qs(u.query).get("after", [None])[0]
            end = time.monotonic() + 2.5
            while True:
                s, a = answer(db, which)
                if after:
                    k, _, o = after.partition("@")
                    if a["as_of"].get(k, 0) <= int(o):
                        if time.monotonic() > end:
                            return self.reply(503, {})
                        time.sleep(0.05)
                        continue
                return self.reply(s, a)
        finally:
            if db.c:
                db.c.close()

    def do_POST(self):
        db = Db()
        try:
            (g,) = db.run(lambda c: c.execute("update promised set generation=generation+1 returning generation").fetchone())
        finally:
            db.c.close()
        Rebuild(g).start()
        self.reply(202, {"generation": g})

    def reply(self, s, a):
        b = json.dumps(a).encode()
        self.send_response(s)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(b)))
        self.end_headers()
        self.wfile.write(b)

    def log_message(self, *a):
        pass


def main():
    signal.signal(signal.SIGTERM, lambda *a: stop.set())
    db = Db()

    def init(c):
        c.execute(DDL)
        (g,) = c.execute("select generation from live").fetchone()
        for t in ("cust", "ord", "pos"):
            c.execute(f"delete from {t} where generation <> %s", (g,))
    db.run(init)
    s = ThreadingHTTPServer(("127.0.0.1", int(E["PORT"])), H)
    s.daemon_threads = True
    threading.Thread(target=s.serve_forever, daemon=True).start()
    con = Consumer({"bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "group.id": E["GROUP_ID"], "client.id": E["INSTANCE_ID"],
                    "enable.auto.commit": False, "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    con.subscribe([CT, OT])
    while not stop.is_set():
        m = con.poll(0.2)
        if m is None:
            continue
        if m.error():
            print(m.error(), flush=True)
            continue

        def job(c):
            (g,) = c.execute("select generation from live for update").fetchone()
            apply(c, g, m.topic(), m.partition(), m.offset(), m.key(), m.value())
            review(c, m.topic(), m.partition(), m.offset(), m.value())
        db.run(job)
        try:
            con.commit(offsets=[TopicPartition(m.topic(), m.partition(), m.offset() + 1)], asynchronous=False)
        except Exception as e:
            print("commit", e, flush=True)
    con.close()
    os._exit(0)


main()
