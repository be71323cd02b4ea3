"""Commands and offsets are one Kafka transaction; the sagas' state is saved just before it.

The two can part in a crash: then the state has moved on and its command was never sent. The records
come again, find nothing to do, and the saga's time runs out, upon which its command is sent after
all, under the id that was saved.
"""

import json
import os
import secrets
import signal

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer

KAFKA = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
ORDERS, REPLIES = os.environ["ORDERS_TOPIC"], os.environ["REPLIES_TOPIC"]
OUTCOMES = os.environ["ORDER_OUTCOMES_TOPIC"]
STEPS = {
    # action: topic, on done, on refused, fields
    "reserve": ("STOCK_COMMANDS_TOPIC", "charge", "cancelled", ("sku", "quantity")),
    "charge": ("PAYMENT_COMMANDS_TOPIC", "ship", "release", ("customer", "amount")),
    "ship": ("SHIPPING_COMMANDS_TOPIC", "deduct", "refund", ("customer",)),
    "deduct": ("STOCK_COMMANDS_TOPIC", "completed", None, ("sku", "quantity")),
    "refund": ("PAYMENT_COMMANDS_TOPIC", "release", None, ()),
    "release": ("STOCK_COMMANDS_TOPIC", "cancelled", None, ()),
}
UNDOES = {"refund": "charge", "release": "reserve"}

SCHEMA = """
    do $$ begin
        perform pg_advisory_xact_lock(99);
        create table if not exists sagas (
            id text primary key, details jsonb not null, action text not null,
            names jsonb not null, due timestamptz, told boolean not null default false
        );
    end $$
"""


class Orchestrator:
    def __init__(self):
        self.stopped = False
        self.db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        self.db.execute(SCHEMA)
        self.consumer = Consumer({
            **KAFKA, "group.id": os.environ["GROUP_ID"], "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "isolation.level": "read_committed",
        })
        self.producer = Producer({
            **KAFKA, "transactional.id": f"orders-{os.environ['INSTANCE_ID']}",
            "transaction.timeout.ms": 10_000,
        })
        self.producer.init_transactions(20)

    def stop(self, *_):
        self.stopped = True

    def run(self):
        self.consumer.subscribe([ORDERS, REPLIES])
        while not self.stopped:
            messages = [m for m in self.consumer.consume(50, 0.2) if not m.error()]
            rows = [row for message in messages for row in self.decide(message)]
            rows += self.overdue()
            if messages or rows:
                self.publish(rows)
        self.consumer.close()

    def decide(self, message):
        value = json.loads(message.value())
        if message.topic() == ORDERS:
            name = secrets.token_hex(8)
            return self.save(
                "insert into sagas values (%s, %s, 'reserve', %s, now() + interval '2.3 s')"
                " on conflict do nothing returning *",
                value["id"], json.dumps(value), json.dumps({"reserve": name}),
            )
        return self.on_reply(value)

    def on_reply(self, reply):
        step = STEPS.get(reply["action"])
        if step is None or reply["status"] == "unavailable":
            return []
        after = step[1] if reply["status"] == "done" else step[2]
        return self.save(
            "update sagas set action = %s, due = now() + interval '2.3 s',"
            " names = jsonb_build_object(%s::text, %s::text) || names"
            " where id = %s and action = %s and names ->> action = %s returning *",
            after, after, secrets.token_hex(8), reply["order"], reply["action"], reply["command"],
        )

    def overdue(self):
        return self.save(
            "update sagas set due = now() + interval '2.3 s' where id in (select id from sagas"
            " where due < now() and not told for update skip locked) returning *"
        )

    def save(self, statement, *values):
        return self.db.execute(statement, values).fetchall()

    def publish(self, rows):
        self.producer.begin_transaction()
        for id, details, action, names, _, _ in rows:
            topic, value = self.record(details, action, names)
            self.producer.produce(topic, json.dumps(value), id)
        try:
            positions = self.consumer.position(self.consumer.assignment())
            self.producer.send_offsets_to_transaction(
                [position for position in positions if position.offset >= 0],
                self.consumer.consumer_group_metadata(),
            )
            self.producer.commit_transaction(20)
        except KafkaException as error:
            raise SystemExit(f"starting anew: {error}") from error
        over = [row[0] for row in rows if row[2] not in STEPS]
        self.db.execute("update sagas set told = true where id = any(%s)", (over,))

    def record(self, order, action, names):
        if action not in STEPS:
            return OUTCOMES, {"order": order["id"], "outcome": action}
        variable, _, _, fields = STEPS[action]
        value = {"id": names[action], "order": order["id"], "action": action}
        value |= {name: order[name] for name in fields}
        if action in UNDOES:
            value["undoes"] = names[UNDOES[action]]
        return os.environ[variable], value


orchestrator = Orchestrator()
signal.signal(signal.SIGTERM, orchestrator.stop)
orchestrator.run()
