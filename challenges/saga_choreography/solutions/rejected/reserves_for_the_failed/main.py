"""Stock or shipping. The answer to each event is stored with the change that it tells of, and sent
after the commit, again with every redelivery, until the offset is committed. No outbox: an answer
that a crash swallowed is sent when its event comes again."""

import json
import logging
import os
import signal
import uuid

import psycopg2
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import CommitFailedError, KafkaError
from kafka.structs import OffsetAndMetadata

from services import SERVICES

log = logging.getLogger("main")
SERVICE = os.environ["SERVICE"]
service = SERVICES[SERVICE]
SCHEMA = f"""
    create table if not exists {SERVICE}_answers (
        cause text primary key, order_id text not null, answer text
    );
    create table if not exists {SERVICE}_orders (
        order_id text primary key, state text not null default 'new', facts jsonb not null default '{{}}'
    );
"""
AGAIN = (psycopg2.errors.SerializationFailure, psycopg2.errors.DeadlockDetected)


def prepare(db):
    with db, db.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(1)")
        cursor.execute(SCHEMA)


def answer_to(db, event):
    """The answer to an event: the stored one, or a new one with the change that it tells of."""
    with db, db.cursor() as cursor:
        # One row for each order, locked while its event is dealt with.
        cursor.execute(
            f"insert into {SERVICE}_orders (order_id) values (%(order_id)s) on conflict do nothing",
            event,
        )
        cursor.execute(
            f"select state, facts from {SERVICE}_orders where order_id = %(order_id)s for update",
            event,
        )
        state, facts = cursor.fetchone()
        if SERVICE == "stock" and event["type"] == "OrderFailed" and state == "new":
            return None  # nothing to put back; shipping says it again when goods are reserved
        cursor.execute(
            f"select answer from {SERVICE}_answers where cause = %(event_id)s", event
        )
        if known := cursor.fetchone():
            return known[0]
        state, facts, told = service.decide(cursor, event, state, facts)
        answer = told and json.dumps({
            "event_id": str(uuid.uuid4()),
            "order_id": event["order_id"],
            "correlation_id": event["correlation_id"],
            "causation_id": event["event_id"],
            **told,
        })
        cursor.execute(
            f"update {SERVICE}_orders set state = %s, facts = %s where order_id = %s",
            (state, json.dumps(facts), event["order_id"]),
        )
        cursor.execute(
            f"insert into {SERVICE}_answers values (%s, %s, %s)",
            (event["event_id"], event["order_id"], answer),
        )
        return answer


def handle(db, producer, event):
    if event.get("type") not in service.TYPES:
        return
    while True:
        try:
            answer = answer_to(db, event)
            break
        except AGAIN as error:
            log.warning("again, after: %s", error)
    if answer:
        key = event["order_id"].encode()
        producer.send(service.TOPIC, answer.encode(), key).get(timeout=20)


def main():
    logging.basicConfig(level=logging.WARNING)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    db = psycopg2.connect(os.environ["DATABASE_URL"])
    prepare(db)
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", retries=5)
    consumer = KafkaConsumer(
        *(os.environ[name] for name in service.READS),
        bootstrap_servers=servers,
        group_id=os.environ["GROUP_ID"],
        client_id=os.environ["INSTANCE_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    while not stopping:
        for lane, records in consumer.poll(timeout_ms=200, max_records=20).items():
            for record in records:
                handle(db, producer, json.loads(record.value))
            try:
                consumer.commit({lane: OffsetAndMetadata(records[-1].offset + 1, "", -1)})
            except (CommitFailedError, KafkaError) as error:
                log.warning("not committed, they will come again: %s", error)
    consumer.close()
    db.close()


main()
