import json
import os
import signal

import psycopg
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2

COMMANDS, EVENTS = os.environ["COMMANDS_TOPIC"], os.environ["EVENTS_TOPIC"]
BROKER = os.environ["KAFKA_BOOTSTRAP_SERVERS"]


def carry_out(database, command):
    while True:
        try:
            with database.transaction() as change:
                carry_out_once(database, change, command)
            return
        except psycopg.errors.SerializationFailure as error:
            print(command["id"], "is tried again:", error, flush=True)


def carry_out_once(database, change, command):
    """The booking's row is changed first, and with it locked; a repeat is rolled back."""
    version = database.execute(
        "insert into bookings (booking, version, seats) values (%(booking)s, 1, %(seats)s)"
        " on conflict (booking) do update"
        " set version = bookings.version + 1, seats = excluded.seats returning version",
        command).fetchone()[0]
    if database.execute("select from outbox where change_id = %(id)s", command).rowcount:
        raise psycopg.Rollback(change)
    database.execute(
        "insert into outbox (change_id, booking, version, seats)"
        " values (%(id)s, %(booking)s, %(version)s, %(seats)s)", command | {"version": version})


class Service:
    def __init__(self):
        self.running = True
        self.sent = {}
        self.database = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        self.producer = KafkaProducer(
            bootstrap_servers=BROKER, acks="all", retries=5)
        self.consumer = KafkaConsumer(
            COMMANDS, bootstrap_servers=BROKER, group_id=os.environ["GROUP_ID"],
            client_id=os.environ["INSTANCE_ID"], enable_auto_commit=False,
            auto_offset_reset="earliest")

    def stop(self, *_):
        self.running = False

    def run(self):
        while self.running:
            for partition, messages in self.consumer.poll(200, max_records=50).items():
                for message in messages:
                    carry_out(self.database, json.loads(message.value))
                self.commit(partition, messages[-1].offset + 1)
            self.publish()
        self.consumer.close()
        self.producer.close(timeout=2)

    def commit(self, partition, offset):
        try:
            self.consumer.commit({partition: OffsetAndMetadata(offset, "", -1)})
        except KafkaError as error:
            print("not committed, it will come again:", error, flush=True)

    def publish(self):
        """What is new is sent; what was acknowledged since the last time is marked."""
        mine = {partition.partition for partition in self.consumer.assignment()}
        rows = self.database.execute(
            "select id, booking, version, seats from outbox where not published"
            " order by booking, version").fetchall()
        for row in rows:
            if owner(row[1]) in mine and row[0] not in self.sent:
                self.sent[row[0]] = self.send(*row)
        self.mark([id for id, future in self.sent.items() if future.is_done])

    def send(self, id, booking, version, seats):
        event = {"event_id": f"evt-{id:08d}", "booking": booking, "version": version,
                 "seats": seats}
        return self.producer.send(EVENTS, json.dumps(event).encode(), booking.encode())

    def mark(self, ids):
        for id in ids:
            self.sent[id].get()  # ends the program when it failed
        try:
            self.database.execute(
                "update outbox set published = true where id = any(%s) and not published", (ids,))
            for id in ids:
                del self.sent[id]
        except psycopg.errors.SerializationFailure as error:
            print("will be marked again:", error, flush=True)


def owner(booking):
    """The partition that a booking belongs to, of three."""
    return (murmur2(booking.encode()) & 0x7FFFFFFF) % 3


def main():
    service = Service()
    signal.signal(signal.SIGTERM, service.stop)
    service.run()


main()
