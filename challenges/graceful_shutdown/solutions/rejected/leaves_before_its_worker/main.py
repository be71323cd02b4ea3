"""One thread writes, the other reads and commits. The signal closes the consumer at once."""

import json
import os
import signal
import queue
import threading

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer

ENV = os.environ


def announce(producer, order):
    """Returns when Kafka has it."""
    failed = []
    record = {"order": order["id"], "customer": order["customer"], "amount": order["amount"]}
    producer.produce(
        ENV["ANNOUNCEMENTS_TOPIC"], key=order["customer"], value=json.dumps(record),
        on_delivery=lambda error, message: error and failed.append(error))
    producer.flush()
    if failed:
        raise KafkaException(failed[0])


def write(database, order):
    database.execute(
        "insert into invoices (order_id, customer, amount)"
        " values (%(id)s, %(customer)s, %(amount)s)", order)


def connect(**settings):
    servers = {"bootstrap.servers": ENV["KAFKA_BOOTSTRAP_SERVERS"]}
    consumer = Consumer({
        **servers, "group.id": ENV["GROUP_ID"], "enable.auto.commit": False,
        "auto.offset.reset": "earliest", **settings})
    consumer.subscribe([ENV["ORDERS_TOPIC"]])
    database = psycopg.connect(ENV["DATABASE_URL"], autocommit=True)
    return consumer, Producer(servers), database


running = True
database = None


def stop(signum, frame):
    global running
    running = False


def give_up():
    """A database that does not answer must not hold up the end."""
    timer = threading.Timer(2.5, database.cancel)
    timer.daemon = True
    timer.start()


def work(orders, done, producer, database):
    while (message := orders.get()) is not None:
        order = json.loads(message.value())
        try:
            write(database, order)
        except psycopg.errors.QueryCanceled:
            return
        announce(producer, order)
        done.put(message)


def main():
    global database
    signal.signal(signal.SIGTERM, stop)
    consumer, producer, database = connect()
    orders, done = queue.SimpleQueue(), queue.SimpleQueue()
    worker = threading.Thread(target=work, args=(orders, done, producer, database))
    worker.start()
    in_hand = False
    while running:
        if in_hand:
            try:
                consumer.commit(done.get(timeout=0.1), asynchronous=False)
                in_hand = False
            except queue.Empty:
                pass
            continue
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            orders.put(message)
            in_hand = True
    give_up()
    consumer.close()
    orders.put(None)
    worker.join()


main()
