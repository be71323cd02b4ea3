import json, logging, os, signal, threading, time, zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

E = os.environ
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
log = logging.getLogger(E["INSTANCE_ID"])
WORKERS = 14
CONSUMERS = 1
EXTRA = {"session.timeout.ms": 10000, "partition.assignment.strategy": "cooperative-sticky"}
MAX_PENDING = 2000

TABLES = """do $$ begin
  perform pg_advisory_xact_lock(4711);
  create table if not exists progress (item text primary key, version bigint not null);
end $$"""

APPLY = """
with step as (
  insert into progress as p (item, version)
  select %(item)s::text, %(version)s::bigint
   where %(version)s::bigint = 1 or exists (select 1 from progress where item = %(item)s::text)
  on conflict (item) do update set version = excluded.version
     where p.version = excluded.version - 1
  returning 1)
insert into applied (change_id, item, version, stock)
select %(id)s::text, %(item)s::text, %(version)s::bigint, %(stock)s::bigint from step
"""

local = threading.local()


def database():
    if getattr(local, "db", None) is None or local.db.closed:
        local.db = psycopg.connect(E["DATABASE_URL"], autocommit=True)
    return local.db


def retry(work, alive=lambda: True):
    pause = 0.05
    while alive():
        try:
            work()
            return True
        except psycopg.Error as error:
            log.warning("database: %s", str(error).strip())
            if isinstance(error, psycopg.OperationalError) and getattr(local, "db", None):
                if local.db.closed or local.db.broken:
                    local.db = None
            time.sleep(pause)
            pause = min(pause * 2, 1)
    return False


producer = Producer({
    "bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "enable.idempotence": True,
    "linger.ms": 2, "partitioner": "murmur2_random"})


def serve_producer():
    while True:
        producer.poll(0.2)


def publish(part, change):
    value = json.dumps(change).encode()
    while part.open:
        done, result = threading.Event(), []

        def delivered(error, message):
            result.append(error)
            done.set()

        producer.produce(E["UPDATES_TOPIC"], key=change["item"].encode(), value=value,
                         on_delivery=delivered)
        done.wait()
        if result[0] is None:
            return True
        log.warning("publish: %s", result[0])
        if result[0].fatal():
            os._exit(1)
        time.sleep(0.1)
    return False


def apply(part, change):
    return retry(lambda: database().execute(APPLY, change), lambda: part.open)


def handle(part, change):
    return apply(part, change) and publish(part, change)


class Part:
    def __init__(self, tp, pool):
        self.tp, self.pool = tp, pool
        self.open = True
        self.lock = threading.Condition()
        self.pending, self.done = deque(), set()
        self.queues, self.busy = {}, 0
        self.position = None
        self.committed = None
        self.paused = False

    def add(self, offset, change):
        with self.lock:
            self.pending.append(offset)
            if change["item"] in self.queues:
                self.queues[change["item"]].append((offset, change))
            else:
                self.queues[change["item"]] = deque([(offset, change)])
                self.pool.submit(self.run, change["item"])

    def run(self, item):
        try:
            while True:
                with self.lock:
                    queue = self.queues[item]
                    if not self.open or not queue:
                        del self.queues[item]
                        return
                    offset, change = queue.popleft()
                    self.busy += 1
                ok = False
                try:
                    ok = handle(self, change)
                finally:
                    with self.lock:
                        self.busy -= 1
                        if ok:
                            self.done.add(offset)
                        self.lock.notify_all()
        except BaseException:
            log.exception("worker")
            os._exit(1)

    def close(self, patience):
        end = time.monotonic() + patience
        with self.lock:
            self.open = False
            while self.busy and time.monotonic() < end:
                self.lock.wait(max(0.01, end - time.monotonic()))

    def watermark(self):
        with self.lock:
            while self.pending and self.pending[0] in self.done:
                self.position = self.pending.popleft() + 1
                self.done.discard(self.position - 1)
            return self.position


class Reader:
    def __init__(self, number, pool):
        self.pool = pool
        self.parts = {}
        extra = dict(EXTRA)
        if "group.instance.id" in extra:
            extra["group.instance.id"] += "-%d" % number
        self.consumer = Consumer({
            "bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "client.id": E["INSTANCE_ID"],
            "group.id": E["GROUP_ID"], "enable.auto.commit": False,
            "auto.offset.reset": "earliest", **extra})

    def commit(self, parts):
        offsets = []
        for part in parts:
            position = part.watermark()
            if position is not None and position != part.committed:
                offsets.append((part, TopicPartition(*part.tp, position)))
        if not offsets:
            return
        try:
            self.consumer.commit(offsets=[o for _, o in offsets], asynchronous=False)
            for part, offset in offsets:
                part.committed = offset.offset
        except KafkaException as error:
            log.warning("commit: %s", error)

    def assigned(self, consumer, tps):
        log.info("assigned %s", [t.partition for t in tps])
        self.parts = {(t.topic, t.partition): Part((t.topic, t.partition), self.pool)
                      for t in consumer.assignment()}
        for t in tps:
            self.parts[t.topic, t.partition] = Part((t.topic, t.partition), self.pool)

    def revoked(self, consumer, tps):
        log.info("revoked %s", [t.partition for t in tps])
        gone = [p for p in (self.parts.pop((t.topic, t.partition), None) for t in tps) if p]
        for p in gone:
            p.open = False
        end = time.monotonic() + 2
        for p in gone:
            p.close(end - time.monotonic())
        self.commit(gone)

    def lost(self, consumer, tps):
        log.info("lost %s", [t.partition for t in tps])
        for t in tps:
            part = self.parts.pop((t.topic, t.partition), None)
            if part:
                part.close(0)

    def run(self):
        self.consumer.subscribe([E["CHANGES_TOPIC"]], on_assign=self.assigned,
                                on_revoke=self.revoked, on_lost=self.lost)
        last = time.monotonic()
        while running.is_set():
            message = self.consumer.poll(0.1)
            if message is not None:
                if message.error():
                    log.warning("%s", message.error())
                    if message.error().fatal():
                        os._exit(1)
                else:
                    part = self.parts.get((message.topic(), message.partition()))
                    if part is not None:
                        part.add(message.offset(), json.loads(message.value()))
                        if len(part.pending) > MAX_PENDING and not part.paused:
                            self.consumer.pause([TopicPartition(*part.tp)])
                            part.paused = True
            if time.monotonic() - last > 0.3:
                last = time.monotonic()
                self.commit(list(self.parts.values()))
                for part in self.parts.values():
                    if part.paused and len(part.pending) < MAX_PENDING // 2:
                        self.consumer.resume([TopicPartition(*part.tp)])
                        part.paused = False
        self.consumer.close()


running = threading.Event()
running.set()


def main():
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    retry(lambda: database().execute(TABLES))
    threading.Thread(target=serve_producer, daemon=True).start()
    pool = ThreadPoolExecutor(WORKERS)

    def run(number):
        try:
            Reader(number, pool).run()
        except BaseException:
            log.exception("reader")
            os._exit(1)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(CONSUMERS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    log.info("stopped")
    os._exit(0)


main()
