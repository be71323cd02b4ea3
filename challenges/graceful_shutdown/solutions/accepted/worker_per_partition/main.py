"""Each partition has a worker of its own, so what is finished of it has no gaps. The new consumer
protocol (KIP-848)."""

import json
import os
import signal
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, wait

import psycopg2
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from psycopg2.extensions import QueryCanceledError

ENV = os.environ
GIVE_UP_S = 2.0


class Worker:
    """Does the orders of one partition, one after the other."""

    def __init__(self):
        self.pool = ThreadPoolExecutor(1)
        self.database = psycopg2.connect(ENV["DATABASE_URL"])
        self.tasks = {}

    def take(self, message, service):
        order = json.loads(message.value())
        self.tasks[message.offset()] = self.pool.submit(self.write, order, service)

    def write(self, order, service):
        with self.database, self.database.cursor() as cursor:
            cursor.execute(
                "insert into invoices (order_id, customer, amount)"
                " values (%(id)s, %(customer)s, %(amount)s)", order)
        service.announce(order)

    def reached(self):
        """The offset up to which everything is done, None when nothing is new."""
        last = None
        for offset, task in list(self.tasks.items()):
            if not task.done() or task.cancelled() or task.exception():
                break
            del self.tasks[offset]
            last = offset + 1
        return last

    def check(self):
        """Raises what went wrong."""
        for task in self.tasks.values():
            if task.done() and not task.cancelled():
                task.result()

    def drop_queue(self):
        return [task for task in self.tasks.values() if not task.cancel()]


class Service:
    def __init__(self):
        servers = {"bootstrap.servers": ENV["KAFKA_BOOTSTRAP_SERVERS"]}
        self.stopping = False
        self.workers = defaultdict(Worker)
        self.producer = Producer(servers)
        self.consumer = Consumer({
            **servers, "group.id": ENV["GROUP_ID"], "group.protocol": "consumer",
            "enable.auto.commit": False, "auto.offset.reset": "earliest"})

    def stop(self, signum, frame):
        self.stopping = True

    def announce(self, order):
        record = {"order": order["id"], "customer": order["customer"], "amount": order["amount"]}
        self.producer.produce(ENV["ANNOUNCEMENTS_TOPIC"], json.dumps(record))

    def commit(self):
        """Commits what is done, and only then raises what went wrong: it must not cost the rest."""
        offsets = [
            TopicPartition(ENV["ORDERS_TOPIC"], partition, offset)
            for partition, worker in self.workers.items()
            if (offset := worker.reached()) is not None]
        if offsets and self.producer.flush(4):
            raise SystemExit("Kafka does not take the announcements")
        if offsets:
            self.consumer.commit(offsets=offsets, asynchronous=False)
        for worker in self.workers.values():
            worker.check()

    def revoked(self, consumer, partitions):
        self.settle([p.partition for p in partitions])

    def settle(self, partitions):
        """What is begun is finished or taken back, and what is finished is committed."""
        workers = [self.workers[p] for p in partitions if p in self.workers]
        running = [task for worker in workers for task in worker.drop_queue()]
        wait(running, timeout=GIVE_UP_S)
        for worker in workers:
            worker.database.cancel()
        wait(running)
        try:
            self.commit()
        except QueryCanceledError:
            print("one was taken back", flush=True)
        for partition in partitions:
            self.workers.pop(partition, None)

    def run(self):
        self.consumer.subscribe([ENV["ORDERS_TOPIC"]], on_revoke=self.revoked)
        while not self.stopping:
            message = self.consumer.poll(0.1)
            if message is not None and not message.error():
                self.workers[message.partition()].take(message, self)
            self.commit()
        self.settle(list(self.workers))
        try:
            self.consumer.close()
        except KafkaException as error:
            print("close:", error, flush=True)


service = Service()
signal.signal(signal.SIGTERM, service.stop)
service.run()
# As the signal would have it: whoever looks sees the usual end of a program that was told to stop.
signal.signal(signal.SIGTERM, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGTERM)
