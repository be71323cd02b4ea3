"""One loop: carry out a command, then publish what is not marked.

Rows are published by booking and version, under an advisory lock, one at a time. A row that could
not be published five times is set aside.
"""

import json
import logging
import os
import signal
import time

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer

log = logging.getLogger("bookings")
REFUSED = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
RELAY_LOCK = 4711

CHANGE = """
    insert into bookings (booking, version, seats) values (%(booking)s, 1, %(seats)s)
    on conflict (booking) do update set version = bookings.version + 1, seats = excluded.seats
    returning version
"""
NOTE = """
    insert into outbox (change_id, booking, version, seats)
    values (%(id)s, %(booking)s, %(version)s, %(seats)s)
"""
KNOWN = "select from outbox where change_id = %(id)s"
FAILED = """
    insert into failures values (%s, 1)
    on conflict (id) do update set attempts = failures.attempts + 1
"""
UNPUBLISHED = """
    select id, booking, version, seats from outbox where not published
    and not exists (select from failures f where f.id = outbox.id and attempts >= 5)
    order by booking, version limit 1
"""


def carry_out(database, command):
    while True:
        try:
            with database.transaction():
                database.execute("select pg_advisory_xact_lock(hashtext(%(booking)s))", command)
                if database.execute(KNOWN, command).fetchone() is None:
                    row = database.execute(CHANGE, command).fetchone()
                    database.execute(NOTE, command | {"version": row[0]})
            return
        except REFUSED as error:
            log.warning("%s is tried again: %s", command["id"], error)


class Relay:
    def __init__(self, database):
        self.database = database
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "enable.idempotence": True,
            "linger.ms": 0,
        })

    def publish(self):
        """Publish and mark the next row, or note that it failed; whether there may be more."""
        try:
            with self.database.transaction():
                if not self.may_publish():
                    return False
                row = self.database.execute(UNPUBLISHED).fetchone()
                if row is None:
                    return False
                if self.write(*row):
                    self.database.execute(
                        "update outbox set published = true where id = %s", (row[0],))
                else:
                    self.database.execute(FAILED, (row[0],))
                return True
        except REFUSED as error:
            log.warning("published again: %s", error)
            return True

    def may_publish(self):
        lock = self.database.execute("select pg_try_advisory_xact_lock(%s)", (RELAY_LOCK,))
        return lock.fetchone()[0]

    def write(self, id, booking, version, seats):
        answers = []
        event = {"event_id": f"outbox-{id}", "booking": booking, "version": version,
                 "seats": seats}
        try:
            self.producer.produce(
                os.environ["EVENTS_TOPIC"], json.dumps(event), booking,
                on_delivery=lambda error, message: answers.append(error))
        except KafkaException as error:
            log.warning("%s of %s: %s", version, booking, error)
            time.sleep(0.2)
            return False
        self.producer.flush(30)
        return bool(answers) and answers[0] is None


class Service:
    def __init__(self, database):
        self.database = database
        self.relay = Relay(database)
        self.running = True
        self.consumer = Consumer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "client.id": os.environ["INSTANCE_ID"],
            "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })

    def stop(self, *_):
        self.running = False

    def run(self):
        self.consumer.subscribe([os.environ["COMMANDS_TOPIC"]])
        while self.running:
            messages = self.consumer.consume(50, timeout=0.1)
            for message in messages:
                if not message.error():
                    carry_out(self.database, json.loads(message.value()))
            if messages:
                self.commit()
            while self.relay.publish() and self.running:
                pass
        self.consumer.close()

    def commit(self):
        try:
            self.consumer.commit(asynchronous=False)
        except KafkaException as error:
            log.warning("not committed, the commands will come again: %s", error)


def main():
    logging.basicConfig(level=logging.INFO)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
        with database.transaction():
            database.execute("select pg_advisory_xact_lock(%s)", (RELAY_LOCK + 1,))
            database.execute(
                "create table if not exists failures (id bigint primary key, attempts int)")
        service = Service(database)
        signal.signal(signal.SIGTERM, service.stop)
        service.run()


main()
