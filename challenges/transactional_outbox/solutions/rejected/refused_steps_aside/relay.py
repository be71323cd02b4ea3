"""Publishes the outbox, booking by booking."""

import json
import logging
import os
import threading

import psycopg2
from confluent_kafka import KafkaException, Producer

log = logging.getLogger("relay")
WAITING = "select distinct booking from outbox where not published limit 50"
MINE = "select pg_try_advisory_xact_lock(7, hashtext(%s))"
ROWS = """
    select id, version, seats, change_id from outbox
    where booking = %s and not published order by version
"""
MARK = "update outbox set published = true where id = any(%s)"


class Relay(threading.Thread):
    def __init__(self, running):
        super().__init__(daemon=True)
        self.running = running
        self.news = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "acks": "all",
            "max.in.flight.requests.per.connection": 1,
            "linger.ms": 1,
        })

    def run(self):
        while self.running.is_set():
            try:
                self.relay()
            except Exception as error:
                log.warning("begins again after: %s", error)
                self.news.wait(0.5)

    def relay(self):
        database = psycopg2.connect(os.environ["DATABASE_URL"])
        try:
            while self.running.is_set():
                for booking in self.waiting(database):
                    self.publish(database, booking)
                self.news.wait(0.2)
                self.news.clear()
        finally:
            database.close()

    def waiting(self, database):
        with database, database.cursor() as cursor:
            cursor.execute(WAITING)
            return [booking for (booking,) in cursor.fetchall()]

    def publish(self, database, booking):
        """Publish a booking's rows in order, unless another instance is at it."""
        with database, database.cursor() as cursor:
            cursor.execute(MINE, (booking,))
            if not cursor.fetchone()[0]:
                return
            cursor.execute(ROWS, (booking,))
            rows = cursor.fetchall()
            for row in rows:
                self.write(booking, *row[1:])
            cursor.execute(MARK, ([row[0] for row in rows],))

    def write(self, booking, version, seats, change_id):
        """Write an event and wait for the broker's word."""
        outcome = []
        event = {"event_id": change_id, "booking": booking, "version": version, "seats": seats}
        self.producer.produce(
            os.environ["EVENTS_TOPIC"], json.dumps(event), booking,
            on_delivery=lambda error, _: outcome.append(error))
        self.producer.flush(30)
        if not outcome or outcome[0] is not None:
            raise KafkaException(outcome[0] if outcome else "not delivered in time")
