"""One UPDATE decides each transition: it finds the saga only if it waits for just this command."""

import json
import os
import signal
import time
import uuid

import psycopg2
from kafka import KafkaConsumer, KafkaProducer
from psycopg2.extras import Json, RealDictCursor

BROKER = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
ORDERS, REPLIES = os.environ["ORDERS_TOPIC"], os.environ["REPLIES_TOPIC"]
OUTCOMES = os.environ["ORDER_OUTCOMES_TOPIC"]
TOPICS = {
    "reserve": os.environ["STOCK_COMMANDS_TOPIC"],
    "release": os.environ["STOCK_COMMANDS_TOPIC"],
    "deduct": os.environ["STOCK_COMMANDS_TOPIC"],
    "charge": os.environ["PAYMENT_COMMANDS_TOPIC"],
    "refund": os.environ["PAYMENT_COMMANDS_TOPIC"],
    "ship": os.environ["SHIPPING_COMMANDS_TOPIC"],
}
# action: (after "done", after "refused", after two replies that did not come)
ROUTES = {
    "reserve": ("charge", "cancelled", "release"),
    "charge": ("ship", "release", "refund"),
    "ship": ("deduct", "refund", None),
    "deduct": ("completed", None, None),
    "refund": ("release", None, None),
    "release": ("cancelled", None, None),
}
RETRY_S = 2.1

SCHEMA = """
    SELECT pg_advisory_xact_lock(7);
    CREATE TABLE IF NOT EXISTS saga (
        order_id   text PRIMARY KEY,
        body       jsonb NOT NULL,
        action     text NOT NULL,
        command    text NOT NULL,
        commands   jsonb NOT NULL,
        attempts   int NOT NULL DEFAULT 1,
        due        timestamptz DEFAULT now() + interval '2.1 seconds',
        told       boolean NOT NULL DEFAULT false
    )
"""


class Orchestrator:
    def __init__(self):
        self.stopping = False
        self.db = psycopg2.connect(os.environ["DATABASE_URL"], cursor_factory=RealDictCursor)
        with self.db, self.db.cursor() as cursor:
            cursor.execute(SCHEMA)
        self.producer = KafkaProducer(
            bootstrap_servers=BROKER, acks="all", retries=5,
            key_serializer=str.encode, value_serializer=lambda value: json.dumps(value).encode(),
        )
        self.consumer = KafkaConsumer(
            ORDERS, REPLIES,
            bootstrap_servers=BROKER, group_id=os.environ["GROUP_ID"],
            enable_auto_commit=False, auto_offset_reset="earliest", max_poll_records=50,
        )

    def stop(self, *_):
        self.stopping = True

    def sql(self, statement, *values):
        """Run one statement in a transaction of its own; its rows."""
        with self.db, self.db.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def run(self):
        next_look = 0.0
        while not self.stopping:
            batch = self.consumer.poll(timeout_ms=200)
            for records in batch.values():
                for record in records:
                    self.take(record)
                    self.consumer.commit()
            if time.monotonic() > next_look:
                self.ask_again()
                next_look = time.monotonic() + 0.3
        self.consumer.close()
        self.producer.close()

    def take(self, record):
        value = json.loads(record.value)
        if record.topic == ORDERS:
            rows = self.begin(value)
        else:
            rows = self.advance(value)
        self.send(rows)

    def begin(self, order):
        command = str(uuid.uuid4())
        return self.sql(
            "INSERT INTO saga (order_id, body, action, command, commands)"
            " VALUES (%s, %s, 'reserve', %s, %s) ON CONFLICT DO NOTHING RETURNING *",
            order["id"], Json(order), command, Json({"reserve": command}),
        )

    def advance(self, reply):
        if reply["action"] not in ROUTES:
            return []
        if reply["status"] == "unavailable":
            self.sql(
                "UPDATE saga SET due = now() + interval '0.5 seconds' WHERE command = %s AND NOT told",
                reply["command"],
            )
            return []
        done, refused, _ = ROUTES[reply["action"]]
        return self.move(reply["command"], done if reply["status"] == "done" else refused)

    def move(self, command, action):
        """Let the saga that waits for this command wait for a new one."""
        new = str(uuid.uuid4())
        return self.sql(
            "UPDATE saga SET action = %s, command = %s, attempts = 1,"
            " commands = commands || %s, due = now() + %s * interval '1 second'"
            " WHERE command = %s RETURNING *",
            action, new, Json({action: new}), RETRY_S, command,
        )

    def ask_again(self):
        rows = self.sql(
            "UPDATE saga SET attempts = attempts + 1, due = now() + %s * interval '1 second'"
            " WHERE order_id IN (SELECT order_id FROM saga WHERE due < now() AND NOT told"
            " ORDER BY due LIMIT 50 FOR UPDATE SKIP LOCKED) RETURNING *", RETRY_S,
        )
        for row in rows:
            back = ROUTES[row["action"]][2] if row["action"] in ROUTES else None
            if back and row["attempts"] > 2:
                self.send(self.move(row["command"], back))
            else:
                self.send([row])

    def send(self, rows):
        for row in rows:
            if row["action"] in TOPICS:
                self.write(TOPICS[row["action"]], row["order_id"], command_of(row))
            else:
                value = {"order": row["order_id"], "outcome": row["action"]}
                self.write(OUTCOMES, row["order_id"], value)
                self.sql("UPDATE saga SET told = true WHERE order_id = %s", row["order_id"])

    def write(self, topic, key, value):
        self.producer.send(topic, key=key, value=value).get(timeout=20)


def command_of(row):
    order, action = row["body"], row["action"]
    value = {"id": row["command"], "order": order["id"], "action": action}
    match action:
        case "reserve" | "deduct":
            return value | {"sku": order["sku"], "quantity": order["quantity"]}
        case "charge":
            return value | {"customer": order["customer"], "amount": order["amount"]}
        case "ship":
            return value | {"customer": order["customer"]}
        case "refund":
            return value | {"undoes": row["commands"]["charge"]}
    return value | {"undoes": row["commands"]["reserve"]}


orchestrator = Orchestrator()
signal.signal(signal.SIGTERM, orchestrator.stop)
orchestrator.run()
