"""Accounts kept as events, in a single thread: it answers one request, deals with one deposit,
publishes what is new, and begins again. One connection, one transaction at a time."""

import json
import os
import signal
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from psycopg.rows import dict_row

from bank import Bank

stopping = False


def stop(signum, frame):
    global stopping
    stopping = True


class Handler(BaseHTTPRequestHandler):
    timeout = 1.0  # nobody may keep the thread by sending nothing

    def do_GET(self):
        url = urlsplit(self.path)
        _, _, account, *rest = url.path.split("/")
        query = dict(parse_qsl(url.query))
        self.answer(lambda: self.server.bank.look(account, query, history=bool(rest)))

    def do_POST(self):
        command = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(lambda: self.server.bank.withdraw(self.path.split("/")[2], command))

    def answer(self, ask):
        try:
            status, body = ask()
        except psycopg.Error as error:
            status, body = 503, {"error": str(error)}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


def deal_with_a_deposit(consumer, bank, due):
    """`due`: what is done and not committed yet, by partition. What is rejected during a rebalance
    is tried again, if the partition is kept."""
    message = consumer.poll(0)
    if message is not None and not message.error():
        event = json.loads(message.value())
        while not bank.deposit(event):
            time.sleep(0.02)
        due[message.partition()] = message.offset() + 1
    mine = {partition.partition for partition in consumer.assignment()}
    offsets = [
        TopicPartition(os.environ["DEPOSITS_TOPIC"], p, due[p]) for p in due.keys() & mine]
    try:
        if offsets:
            consumer.commit(offsets=offsets, asynchronous=False)
        due.clear()
    except KafkaException as error:
        print("not committed:", error)


def publish(producer, bank):
    """All that is not published. An event that is published twice, by two instances at once, is
    published at least once."""
    entries = bank.unpublished()
    for number, body in entries:
        producer.produce(os.environ["ACCOUNT_EVENTS_TOPIC"], json.dumps(body), body["account"])
    if entries and producer.flush(30) == 0:
        bank.was_published([number for number, _ in entries])


def main():
    signal.signal(signal.SIGTERM, stop)
    servers = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
    producer = Producer(servers | {"acks": "all"})
    consumer = Consumer(servers | {
        "group.id": os.environ["GROUP_ID"],
        "group.protocol": "consumer",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["DEPOSITS_TOPIC"]])
    server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    server.timeout = 0.02
    with psycopg.connect(os.environ["DATABASE_URL"], row_factory=dict_row) as db:
        server.bank, due = Bank(db), {}
        while not stopping:
            server.handle_request()
            deal_with_a_deposit(consumer, server.bank, due)
            publish(producer, server.bank)
    consumer.close()


main()
