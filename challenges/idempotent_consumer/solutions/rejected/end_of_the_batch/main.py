import json, logging, os, signal, time

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

E = os.environ
logging.basicConfig(level=logging.WARNING)
log = logging.getLogger()
running = True


def stop(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, stop)


def connect():
    db = psycopg.connect(E["DATABASE_URL"],
                         options="-c idle_in_transaction_session_timeout=5000")
    db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return db


def book(db, payments):
    with db.transaction():
        for p in payments:
            if not running:
                break
            if db.execute("select 1 from ledger where event_id = %(id)s", p).fetchone():
                continue
            db.execute("insert into ledger (event_id, account, amount) "
                       "values (%(id)s, %(account)s, %(amount)s)", p)
            db.execute("insert into balances values (%(account)s, %(amount)s) on conflict "
                       "(account) do update set balance = balances.balance + excluded.balance", p)


def main():
    db = connect()
    consumer = Consumer({
        "bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "group.id": E["GROUP_ID"],
        "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    consumer.subscribe([E["PAYMENTS_TOPIC"]])
    while running:
        messages = [m for m in consumer.consume(20, 0.2) if not m.error()]
        if not messages:
            continue
        payments = [json.loads(m.value()) for m in messages]
        pause = 0.05
        while True:
            try:
                book(db, payments)
                break
            except psycopg.OperationalError as error:
                log.warning("%s", str(error).strip())
                if db.closed:
                    db = connect()
                time.sleep(pause)
                pause = min(1, 2 * pause)
        ends = {}
        for m in messages:
            ends[m.topic(), m.partition()] = m.offset() + 1
        try:
            consumer.commit(offsets=[TopicPartition(*tp, o) for tp, o in ends.items()],
                            asynchronous=False)
        except KafkaException as error:
            log.warning("commit: %s", error)
    consumer.close()


main()
