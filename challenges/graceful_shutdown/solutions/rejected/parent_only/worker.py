"""Reads, writes, announces; a thread waits for the signal and decides what becomes of the rest."""

import json
import os
import queue
import signal
import threading

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition

ENV = os.environ
GIVE_UP_S = 2.5



class Worker:
    def __init__(self):
        servers = {"bootstrap.servers": ENV["KAFKA_BOOTSTRAP_SERVERS"]}
        self.stopping = threading.Event()
        self.over = threading.Event()
        self.database = psycopg.connect(ENV["DATABASE_URL"])
        self.producer = Producer({**servers, "linger.ms": 20})
        self.consumer = Consumer({
            **servers, "group.id": ENV["GROUP_ID"], "enable.auto.commit": False,
            "partition.assignment.strategy": "cooperative-sticky",
            "auto.offset.reset": "earliest"})

    def watch(self):
        self.stopping.wait()
        if not self.over.wait(GIVE_UP_S):
            self.database.cancel()

    def run(self):
        threading.Thread(target=self.watch, daemon=True).start()
        self.consumer.subscribe([ENV["ORDERS_TOPIC"]])
        while not self.stopping.is_set():
            messages = [m for m in self.consumer.consume(10, 0.2) if not m.error()]
            done = self.work(messages)
            self.finish(done)
            if len(done) < len(messages):
                break
        self.over.set()
        self.consumer.close()
        self.database.close()

    def work(self, messages):
        """The messages whose invoices are written; all, unless we are told to stop meanwhile."""
        done = []
        for message in messages:
            if self.stopping.is_set():
                break
            order = json.loads(message.value())
            try:
                self.database.execute(
                    "insert into invoices (order_id, customer, amount)"
                    " values (%(id)s, %(customer)s, %(amount)s)", order)
                self.database.commit()
            except psycopg.errors.QueryCanceled:
                self.database.rollback()
                break
            self.announce(order)
            done.append(message)
        return done

    def announce(self, order):
        record = {"order": order["id"], "customer": order["customer"], "amount": order["amount"]}
        self.producer.produce(ENV["ANNOUNCEMENTS_TOPIC"], json.dumps(record), order["customer"])

    def finish(self, done):
        if done:
            self.producer.flush()
            ends = {m.partition(): m.offset() + 1 for m in done}
            self.consumer.commit(
                offsets=[TopicPartition(ENV["ORDERS_TOPIC"], p, o) for p, o in ends.items()],
                asynchronous=False)


def main():
    worker = Worker()
    told = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: told.put(None))
    threading.Thread(target=lambda: (told.get(), worker.stopping.set()), daemon=True).start()
    worker.run()


main()
