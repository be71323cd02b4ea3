"""The view is the records themselves, kept in one table; an answer is one SQL statement over them. kafka-python, psycopg2."""
import json, os, signal, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit, parse_qs
import psycopg2
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

E = os.environ
CT, OT = E["CUSTOMERS_TOPIC"], E["ORDERS_TOPIC"]
TPS = [TopicPartition(CT, 0), TopicPartition(CT, 1), TopicPartition(OT, 0), TopicPartition(OT, 1), TopicPartition(OT, 2)]
halt = threading.Event()
DDL = """
create table if not exists current (generation int not null);
create table if not exists promises (generation serial primary key);
insert into current select 1 where not exists (select from current);
insert into promises values (default) ;
create table if not exists rec (generation int, part text, off bigint, key text, body jsonb, primary key (generation, part, off));
"""
ANSWER = """
with g as (select generation from current),
r as materialized (select rec.* from rec, g where rec.generation = g.generation),
p as (select coalesce(jsonb_object_agg(part, n), '{}') as pos from (select part, max(off) + 1 n from r group by part) x),
who as (select body->>'name' as name from r where part like 'customers-%%' and key = %(c)s order by off desc limit 1),
mine as (select key from r where part like 'orders-%%' and body->>'customer' = %(c)s),
o as (select r.key, sum((body->>'cents')::bigint) cents, bool_or(body->>'type' = 'cancelled') gone
      from r join mine using (key) where part like 'orders-%%' group by r.key)
select g.generation, p.pos, (select name from who), (select count(*) from o where not gone),
       (select coalesce(sum(cents), 0)::bigint from o where not gone) from g, p
"""


def part(tp):
    return f"{'customers' if tp.topic == CT else 'orders'}-{tp.partition}"


class Db:
    c = None

    def tx(self, job):
        while True:
            try:
                if self.c is None or self.c.closed:
                    self.c = psycopg2.connect(E["DATABASE_URL"])
                with self.c, self.c.cursor() as cur:
                    return job(cur)
            except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.IntegrityError) as e:
                print("db", str(e)[:120].replace("\n", " "), flush=True)
                time.sleep(0.05)


def store(cur, gen, tp, ms):
    for m in ms:
        cur.execute("insert into rec values (%s,%s,%s,%s,%s) on conflict do nothing",
                    (gen, part(tp), m.offset, m.key.decode(), m.value.decode() if m.value is not None else None))


def live():
    db = Db()
    con = KafkaConsumer(bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"], group_id=E["GROUP_ID"], client_id=E["INSTANCE_ID"],
                        enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed")
    con.subscribe([CT, OT])
    while not halt.is_set():
        for tp, ms in con.poll(200, max_records=40).items():
            def job(cur):
                cur.execute("select pg_advisory_xact_lock(1)")
                cur.execute("select generation from current")
                store(cur, cur.fetchone()[0], tp, ms)
                if tp.topic == OT:
                    for m in ms:
                        v = json.loads(m.value) if m.value is not None else {}
                        if v.get("type") == "placed" and v["cents"] > 100000:
                            cur.execute("insert into reviews (event_id, order_id, cents) select %s,%s,%s"
                                        " where not exists (select from reviews where event_id=%s)",
                                        (v["id"], v["order"], v["cents"], v["id"]))
            db.tx(job)
            try:
                con.commit({tp: OffsetAndMetadata(ms[-1].offset + 1, "", -1)})
            except Exception as e:
                print("commit", repr(e), flush=True)
    con.close()
    os._exit(0)


def rebuild(gen):
    db = Db()
    con = KafkaConsumer(bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"], group_id=None, enable_auto_commit=False,
                        auto_offset_reset="earliest", isolation_level="read_committed")
    con.assign(TPS)
    con.seek_to_beginning(*TPS)

    def change(cur):
        cur.execute("select pg_advisory_xact_lock(1)")
        cur.execute("select part, max(off) from rec where generation = (select generation from current) group by part")
        old = dict(cur.fetchall())
        cur.execute("select part, max(off) from rec where generation = %s group by part", (gen,))
        new = dict(cur.fetchall())
        for tp in TPS:
            p = part(tp)
            if old.get(p, -1) > new.get(p, -1):
                if ends.get(tp, 0) <= old[p]:
                    return False
                cur.execute("insert into rec values (%s,%s,%s,null,null)", (gen, p, ends[tp] - 1))
        cur.execute("update current set generation=%s", (gen,))
        cur.execute("delete from rec where generation<%s", (gen,))
        return True
    ends = {}
    while not halt.is_set():
        got = con.poll(200)
        if got:
            db.tx(lambda cur: [store(cur, gen, tp, ms) for tp, ms in got.items()])
            continue
        for tp in TPS:
            try:
                ends[tp] = con.position(tp, timeout_ms=500) or 0
            except Exception:
                pass
        if db.tx(change):
            print("now", gen, flush=True)
            break
    con.close()


class H(BaseHTTPRequestHandler):
    def do_GET(self):
        u = urlsplit(self.path)
        x = u.path.split("/")
        if x[1] == "generations":
            g = db.tx(lambda cur: (cur.execute("select generation from current"), cur.fetchone()[0])[1])
            return self.out(200 if g >= int(x[2]) else 503, {"at": g})
        after = parse_qs(u.query).get("after", [None])[0]
        end = time.monotonic() + 2
        while True:
            g, pos, name, n, cents = db.tx(lambda cur: (cur.execute(ANSWER, {"c": x[2]}), cur.fetchone())[1])
            if after and pos.get(after.split("@")[0], 0) <= int(after.split("@")[1]):
                if time.monotonic() > end:
                    return self.out(503, {})
                time.sleep(0.05)
                continue
            if name is None:
                return self.out(404, {"as_of": pos, "generation": g})
            return self.out(200, {"customer": x[2], "name": name, "open_orders": n, "total_cents": cents, "as_of": pos, "generation": g})

    def do_POST(self):
        g = db.tx(lambda cur: (cur.execute("insert into promises values (default) returning generation"), cur.fetchone()[0])[1])
        threading.Thread(target=rebuild, args=(g,), daemon=True).start()
        self.out(202, {"generation": g})

    def out(self, s, a):
        b = json.dumps(a).encode()
        self.send_response(s)
        self.send_header("Content-Length", str(len(b)))
        self.end_headers()
        self.wfile.write(b)

    def log_message(self, *a):
        pass


db = Db()
signal.signal(signal.SIGTERM, lambda *a: halt.set())


def init(cur):
    cur.execute(DDL)
    cur.execute("delete from rec where generation > (select generation from current)")


db.tx(init)
threading.Thread(target=HTTPServer(("127.0.0.1", int(E["PORT"])), H).serve_forever, daemon=True).start()
live()
