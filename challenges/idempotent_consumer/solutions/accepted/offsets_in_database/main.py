"""Books payments and keeps the next offset beside them; Kafka's own commit only follows.

The offset in the database says where to go on. It cannot recognise a payment that the producer
sent twice, so the event ids are kept as well.
"""

import json
import logging
import os
import signal

import psycopg
from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata
from kafka.errors import KafkaError

TABLES = """
    create table if not exists processed_events (event_id text primary key);
    create table if not exists positions (
        topic text, partition int, next_offset bigint not null, primary key (topic, partition));
"""
log = logging.getLogger("payments")
stopping = False


def stop(signum, frame):
    global stopping
    stopping = True


class ResumeFromDatabase(ConsumerRebalanceListener):
    def __init__(self, consumer, db):
        self.consumer = consumer
        self.db = db

    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        for partition in assigned:
            row = self.db.execute(
                "select next_offset from positions where topic = %s and partition = %s",
                (partition.topic, partition.partition),
            ).fetchone()
            if row:
                self.consumer.seek(partition, row[0])


def book(db, record):
    event = json.loads(record.value)
    with db.transaction():
        db.execute(
            "insert into positions values (%s, %s, %s) on conflict (topic, partition) do update"
            " set next_offset = greatest(positions.next_offset, excluded.next_offset)",
            (record.topic, record.partition, record.offset + 1),
        )
        fresh = db.execute(
            "insert into processed_events values (%s) on conflict do nothing returning event_id",
            (event["id"],),
        ).fetchone()
        if fresh:
            db.execute(
                "insert into ledger (event_id, account, amount)"
                " values (%(id)s, %(account)s, %(amount)s)", event)
            db.execute(
                "insert into balances values (%(account)s, %(amount)s) on conflict (account)"
                " do update set balance = balances.balance + excluded.balance", event)


def main():
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGTERM, stop)
    db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    db.execute(TABLES)
    consumer = KafkaConsumer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        client_id=os.environ["INSTANCE_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    consumer.subscribe(
        [os.environ["PAYMENTS_TOPIC"]], listener=ResumeFromDatabase(consumer, db))
    while not stopping:
        for partition, records in consumer.poll(timeout_ms=200, max_records=10).items():
            for record in records:
                book(db, record)
            try:
                consumer.commit({partition: OffsetAndMetadata(records[-1].offset + 1, "", -1)})
            except KafkaError as error:
                log.warning("%s goes on elsewhere: %s", partition, error)
    consumer.close()


main()
