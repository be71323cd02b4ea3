"""Carries out commands; a thread beside it publishes. Instances share the publishing: each takes the
bookings that it gets the lock of, and publishes a booking's rows one behind the other."""

import json
import logging
import os
import signal
import threading

import psycopg2
from confluent_kafka import Consumer, KafkaException
from psycopg2 import errors

import relay

log = logging.getLogger("bookings")
LOCK_BOOKING = """
    insert into bookings (booking, version, seats) values (%(booking)s, 0, 0)
    on conflict (booking) do nothing
"""
SEE_BOOKING = "select version from bookings where booking = %(booking)s for update"
KNOWN = "select 1 from outbox where change_id = %(id)s"
CHANGE = "update bookings set version = %(version)s, seats = %(seats)s where booking = %(booking)s"
NOTE = """
    insert into outbox (change_id, booking, version, seats)
    values (%(id)s, %(booking)s, %(version)s, %(seats)s)
"""


def carry_out(database, command):
    """Lock the booking, and only then look whether the command is known."""
    with database, database.cursor() as cursor:
        cursor.execute(LOCK_BOOKING, command)
        cursor.execute(SEE_BOOKING, command)
        version = cursor.fetchone()[0]
        cursor.execute(KNOWN, command)
        if cursor.fetchone() is None:
            change = command | {"version": version + 1}
            cursor.execute(CHANGE, change)
            cursor.execute(NOTE, change)


def carry_out_all(database, commands):
    """What is refused is tried again behind the others."""
    waiting = list(commands)
    while waiting:
        command = waiting.pop(0)
        try:
            carry_out(database, command)
        except (errors.SerializationFailure, errors.DeadlockDetected) as error:
            log.warning("%s is tried again: %s", command["id"], error)
            waiting.append(command)


def run(database, running, relay_thread):
    consumer = Consumer({
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "client.id": os.environ["INSTANCE_ID"],
        "group.id": os.environ["GROUP_ID"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })
    consumer.subscribe([os.environ["COMMANDS_TOPIC"]])
    while running.is_set():
        batch = [m for m in consumer.consume(50, timeout=0.2) if not m.error()]
        if not batch:
            continue
        carry_out_all(database, [json.loads(message.value()) for message in batch])
        relay_thread.news.set()
        try:
            for message in {m.partition(): m for m in batch}.values():
                consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            log.warning("not committed, it will come again: %s", error)
    consumer.close()


def main():
    logging.basicConfig(level=logging.INFO)
    running = threading.Event()
    running.set()
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    thread = relay.Relay(running)
    thread.start()
    run(psycopg2.connect(os.environ["DATABASE_URL"]), running, thread)
    thread.join(3)


main()
