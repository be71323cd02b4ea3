"""Accounts kept as events: a locked row for each account, and an outbox.

Three threads do the work: one reads deposits, one publishes, one serves HTTP.
"""

import json
import os
import signal
import threading
import traceback

from confluent_kafka import Consumer, KafkaException

from accounts import connect, create_tables, deposit
from http_api import serve_forever
from publisher import publish_forever

running = True


def stop(signum, frame):
    global running
    running = False


def in_background(work):
    """Run something for as long as the program lives; its failure ends the program."""
    def run():
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    threading.Thread(target=run, daemon=True).start()


def main():
    signal.signal(signal.SIGTERM, stop)
    create_tables()
    in_background(serve_forever)
    in_background(publish_forever)
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["DEPOSITS_TOPIC"]])
    with connect() as db:
        while running:
            message = consumer.poll(0.1)
            if message is None or message.error():
                continue
            deposit(db, json.loads(message.value()))
            try:
                consumer.commit(message=message, asynchronous=False)
            except KafkaException as error:
                print("not committed:", error)
    consumer.close()


main()
