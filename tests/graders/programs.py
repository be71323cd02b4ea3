"""Small programs to be graded: one that is right, one that is wrong, and some that are no use."""

GOOD = """
import json, os, signal
import psycopg
from confluent_kafka import Consumer

running = True

def stop(*_):
    global running
    running = False

signal.signal(signal.SIGTERM, stop)
db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
db.execute("create table if not exists processed (id text primary key)")
consumer = Consumer({
    "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
    "group.id": os.environ["GROUP_ID"],
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
})
consumer.subscribe([os.environ["PAYMENTS_TOPIC"]])
while running:
    message = consumer.poll(0.1)
    if message is None or message.error():
        continue
    event = json.loads(message.value())
    with db.transaction():
        fresh = db.execute(
            "insert into processed values (%(id)s) on conflict do nothing", event).rowcount
        if fresh:
            db.execute(
                "insert into ledger (event_id, account, amount)"
                " values (%(id)s, %(account)s, %(amount)s)", event)
            db.execute(
                "insert into balances values (%(account)s, %(amount)s) on conflict (account)"
                " do update set balance = balances.balance + excluded.balance", event)
    consumer.commit(message, asynchronous=False)
consumer.close()
"""

EVERY_TURN = GOOD.replace(
    """(0.1)
    if message is None or message.error():
""",
    """(0.01)
    if message is None or message.error():
        positions = [p for p in consumer.position(consumer.assignment()) if p.offset >= 0]
        if positions:
            consumer.commit(offsets=positions, asynchronous=False)
""",
)

TRANSACTIONAL = (
    GOOD.replace("import Consumer", "import Consumer, Producer")
    .replace(
        "consumer.subscribe(",
        """producer = Producer({
    "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
    "transactional.id": "booker",
})
producer.init_transactions(30)
consumer.subscribe(""",
    )
    .replace(
        "    consumer.commit(message, asynchronous=False)",
        """    producer.begin_transaction()
    producer.send_offsets_to_transaction(
        consumer.position(consumer.assignment()), consumer.consumer_group_metadata())
    producer.commit_transaction(30)""",
    )
)

FORGETFUL = GOOD.replace(
    "on conflict do nothing", "on conflict (id) do update set id = excluded.id"
)

SLOW_TO_START = f"import time\ntime.sleep(8)\n{GOOD}"

BROKEN_SOMETIMES = f"""
import os
if os.environ["INSTANCE_ID"] == "broken":
    raise SystemExit("no configuration found")
{GOOD}"""

ADD_TO_BALANCE = """
            db.execute(
                "insert into balances values (%(account)s, %(amount)s) on conflict (account)"
                " do update set balance = balances.balance + excluded.balance", event)
"""

PROJECT_BALANCES = """
import threading, time

def project():
    own = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    while True:
        time.sleep(1.5)
        own.execute(
            "insert into balances select account, sum(amount) from ledger group by account"
            " on conflict (account) do update set balance = excluded.balance")

threading.Thread(target=project, daemon=True).start()
consumer.subscribe"""

BALANCES_LATER = GOOD.replace(ADD_TO_BALANCE, "\n").replace(
    "\nconsumer.subscribe", PROJECT_BALANCES
)

USELESS = {
    "exits at once": "raise SystemExit('no configuration found')",
    "prints for ever": "while True: print('x' * 1000)",
    "never connects": "import time\nwhile True: time.sleep(1)",
    "ignores its topic": GOOD.replace('os.environ["PAYMENTS_TOPIC"]', '"orders"'),
    "fills its database": GOOD.replace(
        "consumer = Consumer(",
        "db.execute('create table big as select g, repeat(md5(g::text), 30) from"
        " generate_series(1, 400000) g')\nconsumer = Consumer(",
    ),
    "talks to a wrong host": GOOD.replace(
        'os.environ["KAFKA_BOOTSTRAP_SERVERS"]', '"kafka.example:9092"'
    ),
    "leaves a transaction open": GOOD.replace("with db.transaction():", "if True:").replace(
        "autocommit=True)\ndb.execute(", "autocommit=True)\ndb.autocommit = False\ndb.execute("
    ),
}
