"""One loop: carry out a command, then publish what is not marked.

Rows are published by booking and version, under an advisory lock, in the transaction that marks
them: the mark is durable only when the broker has the events.
"""

import json
import logging
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer

log = logging.getLogger("bookings")
REFUSED = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
RELAY_LOCK = 4711
BATCH = 100

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
UNPUBLISHED = """
    select id, booking, version, seats from outbox where not published
    order by booking, version limit %s
"""


def carry_out(database, command):
    for _ in range(5):
        try:
            with database.transaction():
                database.execute("select pg_advisory_xact_lock(hashtext(%(booking)s))", command)
                if database.execute(KNOWN, command).fetchone() is None:
                    row = database.execute(CHANGE, command).fetchone()
                    database.execute(NOTE, command | {"version": row[0]})
            return
        except REFUSED as error:
            log.warning("%s is tried again: %s", command["id"], error)
    log.error("%s is given up", command["id"])


class Relay:
    def __init__(self, database):
        self.database = database
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "enable.idempotence": True,
            "linger.ms": 0,
        })

    def publish(self):
        """Publish and mark some rows; whether there may be more."""
        try:
            with self.database.transaction():
                if not self.may_publish():
                    return False
                rows = self.database.execute(UNPUBLISHED, (BATCH,)).fetchall()
                if rows:
                    self.write(rows)
                    self.database.execute(
                        "update outbox set published = true where id = any(%s)",
                        ([row[0] for row in rows],))
                return len(rows) == BATCH
        except REFUSED as error:
            log.warning("published again: %s", error)
            return True

    def may_publish(self):
        lock = self.database.execute("select pg_try_advisory_xact_lock(%s)", (RELAY_LOCK,))
        return lock.fetchone()[0]

    def write(self, rows):
        errors = []

        def delivered(error, message):
            if error:
                errors.append(error)

        for id, booking, version, seats in rows:
            event = {"event_id": f"outbox-{id}", "booking": booking, "version": version,
                     "seats": seats}
            self.producer.produce(
                os.environ["EVENTS_TOPIC"], json.dumps(event), booking, on_delivery=delivered)
        if self.producer.flush(30) or errors:
            raise KafkaException(errors[0] if errors else "not delivered in time")


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
        service = Service(database)
        signal.signal(signal.SIGTERM, service.stop)
        service.run()


main()
