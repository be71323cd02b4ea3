"""Commits the highest offset that is done, also when a worker is still busy with a lower one."""

import json
import os
import signal
import threading
import time
import traceback
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from psycopg.errors import DeadlockDetected, SerializationFailure
from psycopg.types.json import Jsonb

running = True


def stop(signum, frame):
    global running
    running = False


def connect():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def prepare():
    with connect() as db, db.transaction():
        db.execute("select pg_advisory_xact_lock(1)")
        db.execute("create table if not exists streams (account text primary key)")
        db.execute("create table if not exists outbox (entry bigserial primary key, body jsonb)")


def upcast(type, format, data):
    """Type and cents of an event, as format 2 has them."""
    if format == 2:
        return type, data["amount"]
    cents = int(Decimal(data["amount"]) * 100)
    return ("deposited", cents) if cents > 0 else ("withdrawn", -cents)


def change(type, format, data):
    type, amount = upcast(type, format, data)
    return amount if type == "deposited" else -amount


def version_at(db, account, query):
    """The version at the moment that the query names; 0 when there was none."""
    latest = "select coalesce(max(version), 0) from events where account = %s"
    if "at" in query:
        at = datetime.fromisoformat(query["at"])
        return db.execute(latest + " and recorded_at <= %s", (account, at)).fetchone()[0]
    version = db.execute(latest, (account,)).fetchone()[0]
    wanted = int(query.get("version", version))
    return wanted if wanted <= version else 0


def events_between(db, account, after, until):
    return db.execute(
        "select version, type, format, data from events"
        " where account = %s and version > %s and version <= %s order by version",
        (account, after, until)).fetchall()


def balance_at(db, account, version):
    start, balance = db.execute(
        "select version, balance from snapshots where account = %s and version <= %s"
        " order by version desc limit 1", (account, version)).fetchone() or (0, 0)
    return balance + sum(
        change(*event) for _, *event in events_between(db, account, start, version))


def state(db, account, query):
    version = version_at(db, account, query)
    if not version:
        return 404, {}
    balance = balance_at(db, account, version)
    return 200, {"account": account, "version": version, "balance": balance}


def history(db, account, query):
    version = version_at(db, account, query)
    if not version:
        return 404, {}
    events = []
    for number, *event in events_between(db, account, 0, version):
        type, amount = upcast(*event)
        events.append({"version": number, "type": type, "amount": amount})
    return 200, {"account": account, "version": version, "events": events}


def version_of(db, command):
    row = db.execute("select version from events where command_id = %s", (command,)).fetchone()
    return row and row[0]


def lock(db, account):
    """Nobody else decides about the account until the end of the transaction."""
    db.execute("insert into streams values (%s) on conflict do nothing", (account,))
    db.execute("select from streams where account = %s for update", (account,))


def deposit(db, event):
    with db.transaction():
        lock(db, event["account"])
        if version_of(db, event["id"]) is None:
            version = version_at(db, event["account"], {})
            append(db, event["account"], version + 1, event["id"], "deposited", event["amount"])


def withdraw(db, account, command):
    with db.transaction():
        lock(db, account)
        if known := version_of(db, command["id"]):
            return 201, {"version": known, "balance": balance_at(db, account, known)}
        version = version_at(db, account, {})
        if command.get("expected_version", version) != version:
            return 409, {}
        balance = balance_at(db, account, version) - command["amount"]
        if balance < 0:
            return 422, {}
        append(db, account, version + 1, command["id"], "withdrawn", command["amount"])
        return 201, {"version": version + 1, "balance": balance}


def append(db, account, version, command, type, amount):
    db.execute(
        "insert into events (account, version, command_id, type, data) values (%s, %s, %s, %s, %s)",
        (account, version, command, type, Jsonb({"amount": amount})))
    body = {"id": command, "account": account, "version": version, "type": type, "amount": amount}
    db.execute("insert into outbox (body) values (%s)", (Jsonb(body),))
    if version % 20 == 0:
        snapshot(db, account, version)


def snapshot(db, account, version):
    db.execute("insert into snapshots values (%s, %s, %s)",
               (account, version, balance_at(db, account, version)))


def publish(producer, body):
    producer.produce(os.environ["ACCOUNT_EVENTS_TOPIC"], key=body["account"],
                     value=json.dumps(body))


def publish_forever():
    producer = Producer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]})
    with connect() as db:
        while True:
            with db.transaction():
                rows = db.execute(
                    "select entry, body from outbox order by entry limit 100"
                    " for update skip locked").fetchall()
                for _, body in rows:
                    publish(producer, body)
                producer.flush()
                db.execute("delete from outbox where entry = any(%s)", ([e for e, _ in rows],))
            time.sleep(0 if rows else 0.1)


def with_retries(work, *args):
    while True:
        try:
            return work(*args)
        except (SerializationFailure, DeadlockDetected) as error:
            print("once more:", error)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        _, _, account, *rest = url.path.split("/")
        self.answer(history if rest else state, account, dict(parse_qsl(url.query)))

    def do_POST(self):
        command = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(withdraw, self.path.split("/")[2], command)

    def answer(self, work, *args):
        try:
            with connect() as db:
                status, body = with_retries(work, db, *args)
        except Exception:
            traceback.print_exc()
            status, body = 500, {}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


def serve_forever():
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


def main():
    signal.signal(signal.SIGTERM, stop)
    prepare()
    for work in (serve_forever, publish_forever):
        threading.Thread(target=work, daemon=True).start()
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    # A worker for each share of the accounts, so the deposits of one come one after the other.
    workers = [(ThreadPoolExecutor(1), connect()) for _ in range(4)]
    under_way, committed = [], {}

    def commit():
        for task, message in list(under_way):
            if not task.done():
                continue
            task.result()
            under_way.remove((task, message))
            partition, offset = message.partition(), message.offset() + 1
            if offset > committed.get(partition, 0):
                try:
                    consumer.commit(
                        offsets=[TopicPartition(message.topic(), partition, offset)],
                        asynchronous=False)
                    committed[partition] = offset
                except KafkaException as error:
                    print("not committed:", error)

    def revoked(consumer, partitions):
        while under_way:
            commit()
            time.sleep(0.01)
        committed.clear()

    consumer.subscribe([os.environ["DEPOSITS_TOPIC"]], on_revoke=revoked)
    while running:
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            event = json.loads(message.value())
            worker, db = workers[zlib.crc32(event["account"].encode()) % len(workers)]
            under_way.append((worker.submit(with_retries, deposit, db, event), message))
        commit()
    consumer.close()


try:
    main()
except BaseException:
    traceback.print_exc()
    os._exit(1)
os._exit(0)
