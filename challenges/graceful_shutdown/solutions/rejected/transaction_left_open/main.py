"""A batch is a database transaction, and then a Kafka transaction with its announcements and its
offsets. What has a row already is announced only: a batch may come again when the second one fails."""

import json
import os
import signal
import sys
import threading
import time

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

ENV = os.environ
GIVE_UP_S = 2.5
stopping = threading.Event()


class Stopped(BaseException):
    pass


def stop(signum, frame):
    if not stopping.is_set():
        stopping.set()
        raise Stopped


def watch(database):
    """Take back what the database does not answer in time."""
    stopping.wait()
    time.sleep(GIVE_UP_S)
    database.cancel()


def prepare(database):
    with database.transaction():
        database.execute("select pg_advisory_xact_lock(1)")  # two instances may start at once
        database.execute("create table if not exists written (order_id text primary key)")


def begin(producer):
    """Returns when the producer has its identity, or we are told to stop."""
    while not stopping.is_set():
        try:
            return producer.init_transactions(0.5)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._TIMED_OUT:
                raise


def write(database, orders):
    with database.transaction():
        for order in orders:
            fresh = database.execute(
                "insert into written values (%(id)s) on conflict do nothing", order).rowcount
            if fresh:
                database.execute(
                    "insert into invoices (order_id, customer, amount)"
                    " values (%(id)s, %(customer)s, %(amount)s)", order)


def announce(producer, consumer, messages, orders):
    ends = {m.partition(): m.offset() + 1 for m in messages}
    offsets = [TopicPartition(ENV["ORDERS_TOPIC"], p, o) for p, o in ends.items()]
    producer.begin_transaction()
    try:
        for order in orders:
            record = {"order": order["id"], "customer": order["customer"],
                      "amount": order["amount"]}
            producer.produce(ENV["ANNOUNCEMENTS_TOPIC"], json.dumps(record))
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        producer.commit_transaction()
    except KafkaException as error:
        if error.args[0].txn_requires_abort():
            producer.abort_transaction()
        raise


def main():
    signal.signal(signal.SIGTERM, stop)
    database = psycopg.connect(ENV["DATABASE_URL"], autocommit=True)
    prepare(database)
    threading.Thread(target=watch, args=[database], daemon=True).start()
    servers = {"bootstrap.servers": ENV["KAFKA_BOOTSTRAP_SERVERS"]}
    producer = Producer({**servers, "transactional.id": f"invoices-{ENV['INSTANCE_ID']}"})
    begin(producer)
    consumer = Consumer({**servers, "group.id": ENV["GROUP_ID"], "enable.auto.commit": False,
                         "auto.offset.reset": "earliest"})
    consumer.subscribe([ENV["ORDERS_TOPIC"]])
    try:
        while not stopping.is_set():
            messages = [m for m in consumer.consume(20, timeout=0.2) if not m.error()]
            if messages:
                orders = [json.loads(m.value()) for m in messages]
                write(database, orders)
                announce(producer, consumer, messages, orders)
    except (Stopped, psycopg.errors.QueryCanceled):
        print("the batch is taken back", flush=True)
    finally:
        consumer.close()
    sys.stdout.flush()
    os._exit(0)  # a producer that never got its identity would be waited for


main()
