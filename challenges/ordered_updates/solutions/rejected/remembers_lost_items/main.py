"""confluent-kafka, a chain per item on a pool of threads, one guarded statement per change, idempotent producer."""
import collections, json, os, signal, sys, threading, time
import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition, KafkaException

E = os.environ
CHANGES, UPDATES = E["CHANGES_TOPIC"], E["UPDATES_TOPIC"]
WORKERS = 14
FIRST = """with s as (insert into progress (item, version) values (%(item)s, 1) on conflict do nothing returning 1)
insert into applied (change_id, item, version, stock) select %(id)s, %(item)s, %(version)s, %(stock)s from s"""
NEXT = """with s as (update progress set version = %(version)s where item = %(item)s and version = %(version)s - 1 returning 1)
insert into applied (change_id, item, version, stock) select %(id)s, %(item)s, %(version)s, %(stock)s from s"""
stopping = threading.Event()


def die(why):
    print("dying:", why, flush=True)
    os._exit(1)


def setup():
    while True:
        try:
            with psycopg.connect(E["DATABASE_URL"]) as c:
                c.execute("select pg_advisory_xact_lock(4711)")
                c.execute("create table if not exists progress (item text primary key, version bigint not null)")
            return
        except psycopg.Error as e:
            print("setup:", e, flush=True)
            time.sleep(0.3)


class Part:
    """A partition for as long as it is mine."""
    def __init__(self, number):
        self.number, self.open = number, True
        self.offsets = collections.deque()   # [offset, done]
        self.commit_at = None
        self.chains = {}                     # item -> deque of (change, entry), the head is at work
        self.running = 0


lock = threading.Condition()
ready = collections.deque()                  # (part, item)
parts = {}
last = {}


def again(part, item):
    with lock:
        ready.append((part, item))
        lock.notify_all()


producer = Producer({"bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "enable.idempotence": True, "linger.ms": 1})


def poller():
    while True:
        producer.poll(0.5)


def publish(change, key):
    done, box = threading.Event(), []
    def report(error, message):
        box.append(error)
        done.set()
    producer.produce(UPDATES, key=key, value=json.dumps(change).encode(), on_delivery=report)
    done.wait()
    if box[0] is not None:
        die(f"not delivered: {box[0]}")


class Worker(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.db = None

    def apply(self, change):
        pause = 0.05
        while True:
            try:
                if self.db is None:
                    self.db = psycopg.connect(E["DATABASE_URL"], autocommit=True)
                n = self.db.execute(FIRST if change["version"] == 1 else NEXT, change).rowcount
                if n == 0:
                    row = self.db.execute("select version from progress where item = %s", (change["item"],)).fetchone()
                    if row is None or row[0] < change["version"]:
                        die(f"gap before {change}: {row}")
                return
            except psycopg.Error as e:
                print("database:", type(e).__name__, e, flush=True)
                if self.db is not None and (self.db.broken or self.db.closed):
                    self.db = None
                elif self.db is not None and not isinstance(e, psycopg.errors.SerializationFailure):
                    self.db.close(); self.db = None
                time.sleep(pause)
                pause = min(1, pause * 2)

    def run(self):
        try:
            while True:
                with lock:
                    while not ready:
                        lock.wait()
                    part, item = ready.popleft()
                    if not part.open:
                        continue
                    change, key, entry = part.chains[item][0]
                    part.running += 1
                while item not in last:
                    try:
                        with psycopg.connect(E["DATABASE_URL"]) as c:
                            row = c.execute("select version from progress where item = %s", (item,)).fetchone()
                        last[item] = row[0] if row else 0
                    except psycopg.Error as e:
                        print(e, flush=True)
                if change["version"] > last[item] + 1:
                    # out of order: wait for the one before it
                    threading.Timer(0.5, again, (part, item)).start()
                    with lock:
                        part.running -= 1
                    continue
                self.apply(change)
                last[item] = max(last[item], change["version"])
                publish(change, key)
                with lock:
                    part.running -= 1
                    entry[1] = True
                    while part.offsets and part.offsets[0][1]:
                        part.commit_at = part.offsets.popleft()[0] + 1
                    chain = part.chains[item]
                    chain.popleft()
                    if chain:
                        ready.append((part, item))
                    else:
                        del part.chains[item]
                    lock.notify_all()
        except BaseException as e:
            die(repr(e))


def to_commit(which):
    got = []
    for p in which:
        if p.commit_at is not None:
            got.append((p, p.commit_at))
    return got


def commit(consumer, which):
    with lock:
        got = to_commit(which)
    if not got:
        return
    try:
        consumer.commit(offsets=[TopicPartition(CHANGES, p.number, at) for p, at in got], asynchronous=False)
        with lock:
            for p, at in got:
                if p.commit_at == at:
                    p.commit_at = None
    except KafkaException as e:
        print("commit:", e, flush=True)


def revoked(consumer, partitions):
    mine = [parts.pop(tp.partition) for tp in partitions if tp.partition in parts]
    until = time.monotonic() + (3 if stopping.is_set() else 25)
    with lock:
        for p in mine:
            p.open = False
        while any(p.running for p in mine) and time.monotonic() < until and (until - time.monotonic() > 20 or not stopping.is_set() or True):
            lock.wait(0.2)
            if stopping.is_set():
                until = min(until, time.monotonic() + 3)
    commit(consumer, mine)


def lost(consumer, partitions):
    with lock:
        for tp in partitions:
            if tp.partition in parts:
                parts.pop(tp.partition).open = False


def main():
    signal.signal(signal.SIGTERM, lambda *a: stopping.set())
    setup()
    threading.Thread(target=poller, daemon=True).start()
    for _ in range(WORKERS):
        Worker().start()
    consumer = Consumer({
        "bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "group.id": E["GROUP_ID"], "client.id": E["INSTANCE_ID"],
        "enable.auto.commit": False, "auto.offset.reset": "earliest", "session.timeout.ms": 10000, "partition.assignment.strategy": "cooperative-sticky"})
    consumer.subscribe([CHANGES], on_revoke=revoked, on_lost=lost)
    last = 0
    while not stopping.is_set():
        m = consumer.poll(0.2)
        if m is not None and m.error():
            print("consumer:", m.error(), flush=True)
        elif m is not None:
            with lock:
                p = parts.setdefault(m.partition(), None) or Part(m.partition())
                parts[m.partition()] = p
                change = json.loads(m.value())
                entry = [m.offset(), False]
                p.offsets.append(entry)
                chain = p.chains.setdefault(change["item"], collections.deque())
                chain.append((change, m.key(), entry))
                if len(chain) == 1:
                    ready.append((p, change["item"]))
                    lock.notify_all()
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            commit(consumer, list(parts.values()))
    consumer.close()
    os._exit(0)


main()
