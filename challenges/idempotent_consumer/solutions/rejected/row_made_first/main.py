import json, logging, os, signal, sys, time

import psycopg
from confluent_kafka import Consumer, KafkaException

E = os.environ
logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
log = logging.getLogger()
TABLES = """do $$ begin perform pg_advisory_xact_lock(1);
create table if not exists booked (event_id text primary key); end $$"""
running = True


def stop(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, stop)


class Database:
    db = None

    def book(self, payment):
        pause = 0.02
        while True:
            try:
                if self.db is None or self.db.closed:
                    self.db = psycopg.connect(E["DATABASE_URL"], autocommit=True)
                    self.db.execute(TABLES)
                self.work(payment)
                return
            except psycopg.Error as error:
                log.warning("database: %s", str(error).strip())
                time.sleep(pause)
                pause = min(pause * 2, 1)

    def work(self, args):
        with self.db.transaction():
            self.db.execute("set local idle_in_transaction_session_timeout = 3000")
            self.db.execute("insert into balances values (%(account)s, 0) on conflict do nothing", args)
            if not self.db.execute("insert into booked values (%(id)s) on conflict do nothing", args).rowcount:
                return
            balance, = self.db.execute("select balance from balances where account = %(account)s",
                                       args).fetchone()
            args["new"] = balance + args["amount"]
            self.db.execute("insert into ledger (event_id, account, amount) "
                            "values (%(id)s, %(account)s, %(amount)s)", args)
            self.db.execute("update balances set balance = %(new)s where account = %(account)s", args)


def main():
    database = Database()
    consumer = Consumer({
        "bootstrap.servers": E["KAFKA_BOOTSTRAP_SERVERS"], "group.id": E["GROUP_ID"],
        "client.id": E["INSTANCE_ID"], "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "group.protocol": "consumer"})
    consumer.subscribe([E["PAYMENTS_TOPIC"]])
    while running:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error():
            log.warning("%s", message.error())
            continue
        database.book(json.loads(message.value()))
        for attempt in range(10):
            try:
                consumer.commit(message=message, asynchronous=False)
                break
            except KafkaException as error:
                log.warning("commit: %s", error)
                time.sleep(0.2)
    consumer.close()


main()
