"""A thread writes, the main one reads. The signal closes the consumer at once."""

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


def stop(signum, frame):
    global running
    running = False


def work(orders, consumer, producer, database):
    while (message := orders.get()) is not None:
        order = json.loads(message.value())
        write(database, order)
        announce(producer, order)
        try:
            consumer.commit(message, asynchronous=False)
        except (KafkaException, RuntimeError) as error:
            print("not committed:", error, flush=True)


def main():
    signal.signal(signal.SIGTERM, stop)
    consumer, producer, database = connect()
    orders = queue.Queue(1)
    worker = threading.Thread(target=work, args=(orders, consumer, producer, database))
    worker.start()
    while running:
        message = consumer.poll(0.1)
        if message is not None and not message.error():
            while running:
                try:
                    orders.put(message, timeout=0.1)
                    break
                except queue.Full:
                    pass
    consumer.close()
    while not orders.empty():
        orders.get()
    orders.put(None)
    worker.join()


main()
