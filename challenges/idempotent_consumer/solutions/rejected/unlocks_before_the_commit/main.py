import json, logging, os, signal, time

import sqlalchemy as sa
from kafka import KafkaConsumer, OffsetAndMetadata
from kafka.errors import KafkaError

E = os.environ
logging.basicConfig(level=logging.WARNING)
log = logging.getLogger()
engine = sa.create_engine(
    E["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"), pool_size=1,
    connect_args={"options": "-c idle_in_transaction_session_timeout=4s"})


def book(p):
    with engine.begin() as db:
        db.execute(sa.text("select pg_advisory_lock(hashtextextended(:id, 0))"), p)
        if db.execute(sa.text("select 1 from ledger where event_id = :id"), p).first():
            db.execute(sa.text("select pg_advisory_unlock(hashtextextended(:id, 0))"), p)
            return
        db.execute(sa.text("insert into ledger (event_id, account, amount) "
                           "values (:id, :account, :amount)"), p)
        db.execute(sa.text("insert into balances values (:account, :amount) on conflict (account)"
                           " do update set balance = balances.balance + excluded.balance"), p)
        db.execute(sa.text("select pg_advisory_unlock(hashtextextended(:id, 0))"), p)


def patiently(p):
    pause = 0.05
    while True:
        try:
            return book(p)
        except sa.exc.DBAPIError as error:
            log.warning("%s", error.orig)
            time.sleep(pause)
            pause = min(1, pause * 2)


running = True


def stop(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, stop)
consumer = KafkaConsumer(
    E["PAYMENTS_TOPIC"], bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"], group_id=E["GROUP_ID"],
    client_id=E["INSTANCE_ID"], enable_auto_commit=False, auto_offset_reset="earliest",
    max_poll_records=50, session_timeout_ms=10000, heartbeat_interval_ms=2000)
while running:
    for tp, records in consumer.poll(timeout_ms=300).items():
        for r in records:
            patiently(json.loads(r.value))
        try:
            consumer.commit({tp: OffsetAndMetadata(records[-1].offset + 1, "", -1)})
        except KafkaError as error:
            log.warning("commit %r", error)
consumer.close(autocommit=False)
