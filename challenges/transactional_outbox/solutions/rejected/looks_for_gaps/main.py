import json
import os
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer

REFUSED = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
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
    select id, booking, version, seats from outbox, position
    where id > last and not published order by booking, version
"""
REACHED = """
    update position set last = greatest(last, %(id)s)
    where not exists (select from outbox where id > last and id < %(id)s and not published)
"""
MARK = "update outbox set published = true where id = any(%s)"


def carry_out(database, command):
    while True:
        try:
            with database.transaction():
                return carry_out_once(database, command)
        except REFUSED as error:
            print(command["id"], "is tried again:", error, flush=True)


def carry_out_once(database, command):
    database.execute("select pg_advisory_xact_lock(hashtext(%(booking)s))", command)
    if database.execute(KNOWN, command).fetchone() is None:
        version = database.execute(CHANGE, command).fetchone()[0]
        database.execute(NOTE, command | {"version": version})


class Relay:
    def __init__(self, database):
        self.database = database
        self.producer = Producer({
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "enable.idempotence": True,
            "linger.ms": 0,
        })

    def publish(self):
        """Publish and mark what is not marked, while nobody else does."""
        try:
            with self.database.transaction():
                lock = self.database.execute("select pg_try_advisory_xact_lock(4711)")
                if lock.fetchone()[0]:
                    self.publish_rows()
        except REFUSED as error:
            print("published again:", error, flush=True)

    def publish_rows(self):
        rows = self.database.execute(UNPUBLISHED).fetchall()
        if rows:
            self.write(rows)
            self.database.execute(MARK, ([row[0] for row in rows],))
            self.database.execute(REACHED, {"id": max(row[0] for row in rows)})

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
            "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })

    def stop(self, *_):
        self.running = False

    def run(self):
        self.consumer.subscribe([os.environ["COMMANDS_TOPIC"]])
        while self.running:
            for message in self.consumer.consume(50, timeout=0.1):
                if not message.error():
                    carry_out(self.database, json.loads(message.value()))
                    self.commit(message)
            self.relay.publish()
        self.consumer.close()

    def commit(self, message):
        try:
            self.consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            print("not committed, it will come again:", error, flush=True)


def prepare(database):
    with database.transaction():
        database.execute("select pg_advisory_xact_lock(1)")
        database.execute("create table if not exists position (last bigint not null)")
        database.execute("insert into position select 0 where not exists (select from position)")


def main():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
        prepare(database)
        service = Service(database)
        signal.signal(signal.SIGTERM, service.stop)
        service.run()


main()
