import http.client, json, logging, os, queue, signal, threading, time, urllib.parse, zlib
import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition, KafkaException
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
log = logging.getLogger("m")
E = os.environ
URL = urllib.parse.urlsplit(E["SHIPPING_URL"])
WAITS = (0.3, 0.6, 1.2)


class Token:
    def __init__(self):
        self.off = threading.Event()
        self.pending = {}      # offset -> None, in order
        self.next = None
        self.sent = None


class Gone(Exception):
    pass


lock = threading.Condition()
active = {}                    # token -> count
producer = Producer({"bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "acks": "all", "message.timeout.ms": 4000,
                     "enable.idempotence": False})


def serve_producer():
    while True:
        producer.poll(0.1)


def parse(value):
    try:
        o = json.loads(value.decode("utf-8"))
    except (ValueError, RecursionError) as e:
        return None, "no JSON: " + type(e).__name__
    if not isinstance(o, dict):
        return None, "no object"
    for f in ("id", "customer", "item"):
        v = o.get(f)
        if not isinstance(v, str) or not v:
            return None, "bad field " + f
        try:
            v.encode()
        except UnicodeError:
            return None, "bad text in " + f
    q = o.get("quantity")
    if not isinstance(q, int) or not 1 <= q <= 1000:
        return None, "bad quantity"
    return o, None


def ask(o):
    c = http.client.HTTPConnection(URL.hostname, URL.port, timeout=2.0)
    try:
        body = json.dumps({"order": o["id"], "customer": o["customer"], "item": o["item"], "quantity": o["quantity"]})
        c.request("POST", "/shipments", body.encode(), {"Idempotency-Key": o["id"].encode(),
                                                         "Content-Type": "application/json"})
        return c.getresponse().status
    except (OSError, http.client.HTTPException) as e:
        return type(e).__name__
    finally:
        c.close()


class Worker(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.q = queue.Queue()
        self.db = psycopg.connect(E["DATABASE_URL"], autocommit=True)

    def run(self):
        try:
            while True:
                token, m = self.q.get()
                with lock:
                    if token.off.is_set():
                        continue
                    active[token] = active.get(token, 0) + 1
                try:
                    self.handle(token, m)
                    with lock:
                        token.pending.pop(m.offset(), None)
                except Gone:
                    pass
                finally:
                    with lock:
                        active[token] -= 1
                        lock.notify_all()
        except BaseException:
            log.exception("worker")
            os._exit(1)

    def handle(self, token, m):
        if m.value() is None:
            return
        row = self.db.execute("select error, attempts from dead where part=%s and off=%s",
                              (m.partition(), m.offset())).fetchone()
        if row is None:
            o, error = parse(m.value())
            attempts = 0
            while error is None:
                if token.off.is_set():
                    raise Gone
                status = ask(o)
                attempts += 1
                if status in (200, 201):
                    return
                if status == 422:
                    error = "refused for good"
                elif attempts == 4:
                    error = f"4 attempts failed, last {status}"
                elif token.off.wait(WAITS[attempts - 1]):
                    raise Gone
            if token.off.is_set():
                raise Gone
            self.db.execute("insert into dead values (%s,%s,%s,%s) on conflict do nothing",
                            (m.partition(), m.offset(), error, attempts))
            row = (error, attempts)
        self.bury(token, m, *row)

    def bury(self, token, m, error, attempts):
        headers = list(m.headers() or []) + [
            ("dlq.topic", m.topic().encode()), ("dlq.partition", str(m.partition()).encode()),
            ("dlq.offset", str(m.offset()).encode()), ("dlq.error", error.encode()),
            ("dlq.attempts", str(attempts).encode())]
        while True:
            done = threading.Event()
            result = []
            producer.produce(E["DLQ_TOPIC"], key=m.key(), value=m.value(), headers=headers,
                             on_delivery=lambda err, _: (result.append(err), done.set()))
            while not done.wait(0.05):
                if token.off.is_set():
                    raise Gone
            if result[0] is None:
                return
            log.warning("dlq: %s", result[0])
            if token.off.wait(0.3):
                raise Gone


running = True
tokens = {}
workers = []


def stop(*_):
    global running
    running = False


def commit(consumer, parts=None):
    out = []
    with lock:
        for p, t in tokens.items():
            if t.next is None or (parts is not None and p not in parts):
                continue
            at = min(t.pending) if t.pending else t.next
            if at != t.sent:
                out.append((t, TopicPartition(E["ORDERS_TOPIC"], p, at)))
    if out:
        try:
            consumer.commit(offsets=[x for _, x in out], asynchronous=False)
            for t, x in out:
                t.sent = x.offset
        except KafkaException as e:
            log.warning("commit: %s", e)


def release(parts, limit=3.5):
    with lock:
        ts = [tokens[p] for p in parts if p in tokens]
        for t in ts:
            t.off.set()
        lock.wait_for(lambda: not any(active.get(t) for t in ts), limit)


def assigned(c, tps):
    for tp in tps:
        tokens[tp.partition] = Token()


def revoked(c, tps):
    parts = [tp.partition for tp in tps]
    release(parts)
    commit(c, parts)
    for p in parts:
        tokens.pop(p, None)


def lost(c, tps):
    parts = [tp.partition for tp in tps]
    release(parts)
    for p in parts:
        tokens.pop(p, None)


def main():
    signal.signal(signal.SIGTERM, stop)
    with psycopg.connect(E["DATABASE_URL"], autocommit=True) as db:
        with db.transaction():
            db.execute("select pg_advisory_xact_lock(77)")
            db.execute("create table if not exists dead (part int, off bigint, error text, attempts int, primary key (part, off))")
    threading.Thread(target=serve_producer, daemon=True).start()
    for _ in range(8):
        workers.append(Worker())
        workers[-1].start()
    c = Consumer({"bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "group.id": E["GROUP_ID"],
                  "client.id": E["INSTANCE_ID"], "auto.offset.reset": "earliest", "enable.auto.commit": False})
    c.subscribe([E["ORDERS_TOPIC"]], on_assign=assigned, on_revoke=revoked, on_lost=lost)
    last = 0
    while running:
        m = c.poll(0.1)
        if m is not None and m.error():
            log.warning("%s", m.error())
        elif m is not None:
            t = tokens[m.partition()]
            with lock:
                t.pending[m.offset()] = None
                t.next = m.offset() + 1
            workers[zlib.crc32(m.key() or b"") % len(workers)].q.put((t, m))
        if time.monotonic() - last > 0.4:
            last = time.monotonic()
            commit(c)
    release(list(tokens), 2.8)
    commit(c)
    c.close()
    os._exit(0)


main()
