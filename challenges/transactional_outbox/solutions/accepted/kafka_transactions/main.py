"""Publishes in Kafka transactions: readers see a batch as a whole, and a batch that was cut short
never. The mark follows in the database; what is not marked is published again, as the same event."""

import json
import os
import signal
import traceback

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

CHANGE = """
    with change as (
        insert into bookings (booking, version, seats) values (%(booking)s, 1, %(seats)s)
        on conflict (booking) do update set version = bookings.version + 1, seats = excluded.seats
        returning version
    )
    insert into outbox (change_id, booking, version, seats)
    select %(id)s, %(booking)s, version, %(seats)s from change
"""
FRESH = "insert into carried_out values (%(id)s) on conflict do nothing"


def prepare(database):
    with database.transaction():
        database.execute("select pg_advisory_xact_lock(1)")
        database.execute("create table if not exists carried_out (command_id text primary key)")


def carry_out(database, commands):
    """All commands of a batch in one transaction, tried again as a whole."""
    while True:
        try:
            with database.transaction():
                for command in commands:
                    if database.execute(FRESH, command).rowcount:
                        database.execute(CHANGE, command)
            return
        except psycopg.errors.SerializationFailure as error:
            print("a batch is tried again:", error, flush=True)
        except psycopg.errors.DeadlockDetected as error:
            print("a batch is tried again:", error, flush=True)


class Relay:
    """Publishes while it holds the lock, which goes with the connection."""

    def __init__(self):
        self.database = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        self.producer = None

    def publish(self):
        if self.producer is None and not self.take_over():
            return
        rows = self.database.execute(
            "select id, booking, version, seats from outbox where not published"
            " order by version limit 100").fetchall()
        if rows:
            self.write(rows)
            self.mark([row[0] for row in rows])

    def take_over(self):
        lock = self.database.execute("select pg_try_advisory_lock(2)")
        if not lock.fetchone()[0]:
            return False
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "transactional.id": os.environ["GROUP_ID"] + "-relay",
        })
        self.producer.init_transactions(20)
        return True

    def write(self, rows):
        self.producer.begin_transaction()
        for id, booking, version, seats in rows:
            event = {"event_id": f"{booking}@{version}", "booking": booking, "version": version,
                     "seats": seats, "row": id}
            self.producer.produce(os.environ["EVENTS_TOPIC"], json.dumps(event), booking)
        self.producer.commit_transaction(20)

    def mark(self, ids):
        while True:
            try:
                return self.database.execute(
                    "update outbox set published = true where id = any(%s)", (ids,))
            except psycopg.errors.SerializationFailure as error:
                print("marked again:", error, flush=True)


class Service:
    def __init__(self):
        self.running = True
        self.is_behind = False
        self.database = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        prepare(self.database)
        self.relay = Relay()
        self.consumer = Consumer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["GROUP_ID"],
            "group.protocol": "consumer",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })

    def stop(self, *_):
        self.running = False

    def run(self):
        self.consumer.subscribe([os.environ["COMMANDS_TOPIC"]])
        while self.running:
            messages = [m for m in self.consumer.consume(20, timeout=0.1) if not m.error()]
            if messages:
                carry_out(self.database, [json.loads(m.value()) for m in messages])
                self.is_behind = True
            if self.is_behind:
                self.commit()
            self.relay.publish()
        self.consumer.close()

    def commit(self):
        """What is rejected during a rebalance is tried again, if the partition is kept."""
        try:
            self.consumer.commit(asynchronous=False)
            self.is_behind = False
        except KafkaException as error:
            self.is_behind = error.args[0].code() != KafkaError._NO_OFFSET
            print("not committed:", error, flush=True)


def main():
    service = Service()
    signal.signal(signal.SIGTERM, service.stop)
    try:
        service.run()
    except Exception:
        # Not the usual way out: a consumer that was not closed can keep the process from ending.
        traceback.print_exc()
        os._exit(1)


main()
