"""Sagas as journals; compensations are made as well as can be."""

import json
import os
import signal
import time

from confluent_kafka import Consumer, Producer

from journal import Journal

SERVERS = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
STOCK, PAYMENT, SHIPPING, OUTCOMES = (
    os.environ[name + "_TOPIC"]
    for name in ("STOCK_COMMANDS", "PAYMENT_COMMANDS", "SHIPPING_COMMANDS", "ORDER_OUTCOMES")
)

# What is to be done after the last entry of a journal.
DUTIES = {
    "begun": "reserve",
    "reserve done": "charge",
    "charge done": "ship",
    "ship done": "deduct",
    "deduct done": "completed",
    "reserve refused": "cancelled",
    "reserve given up": "release",
    "charge refused": "release",
    "charge given up": "refund",
    "ship refused": "refund",
    "refund done": "release",
    "release done": "cancelled",
}
CAN_BE_GIVEN_UP = ("reserve", "charge")


def name_of(order, action):
    return f"{action}-{order}"


def message(order, action):
    """(topic, value) by which an action is asked for, or an outcome told."""
    id = order["id"]
    command = {"id": name_of(id, action), "order": id, "action": action}
    goods = {"sku": order["sku"], "quantity": order["quantity"]}
    return {
        "reserve": lambda: (STOCK, command | goods),
        "deduct": lambda: (STOCK, command | goods),
        "charge": lambda: (PAYMENT, command | {k: order[k] for k in ("customer", "amount")}),
        "ship": lambda: (SHIPPING, command | {"customer": order["customer"]}),
        "refund": lambda: (PAYMENT, command | {"undoes": name_of(id, "charge")}),
        "release": lambda: (STOCK, command | {"undoes": name_of(id, "reserve")}),
        "completed": lambda: (OUTCOMES, {"order": id, "outcome": "completed"}),
        "cancelled": lambda: (OUTCOMES, {"order": id, "outcome": "cancelled"}),
    }[action]()


class Orchestrator:
    def __init__(self):
        self.alive = True
        self.journal = Journal()
        self.asked = {}  # when this instance last asked for a duty; only to be patient
        self.producer = Producer({**SERVERS, "acks": "all"})
        self.consumer = Consumer({
            **SERVERS, "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False, "auto.offset.reset": "earliest",
        })

    def on_signal(self, *_):
        self.alive = False

    def run(self):
        self.consumer.subscribe([os.environ["ORDERS_TOPIC"], os.environ["REPLIES_TOPIC"]])
        looked = 0.0
        while self.alive:
            record = self.consumer.poll(0.2)
            if record is not None and not record.error():
                self.take(record)
                self.consumer.commit(record)
            if time.monotonic() - looked > 0.4:
                looked = time.monotonic()
                for order_id in self.journal.unfinished():
                    self.look_after(order_id)
        self.consumer.close()

    def take(self, record):
        value = json.loads(record.value())
        if record.topic() == os.environ["ORDERS_TOPIC"]:
            if self.journal.append(value["id"], 0, "begun", value):
                self.do_duty(value["id"])
        elif value["status"] != "unavailable" or value["action"] in ("refund", "release"):
            self.on_reply(value)

    def on_reply(self, reply):
        entries = self.journal.read(reply["order"])
        if not entries:
            return
        duty = DUTIES.get(entries[-1][0])
        if reply["command"] == name_of(reply["order"], duty) and self.journal.append(
            reply["order"], len(entries), f"{duty} {reply['status'].replace('unavailable', 'done')}"
        ):
            self.do_duty(reply["order"])

    def look_after(self, order_id):
        entries = self.journal.read(order_id)
        duty = DUTIES.get(entries[-1][0])
        if duty in CAN_BE_GIVEN_UP:
            if self.journal.append(order_id, len(entries), f"{duty} given up"):
                self.do_duty(order_id)
        elif time.monotonic() - self.asked.get((order_id, duty), 0.0) > 1.5:
            self.do_duty(order_id)

    def do_duty(self, order_id):
        entries = self.journal.read(order_id)
        duty = DUTIES.get(entries[-1][0])
        if duty is None:
            return
        self.asked[order_id, duty] = time.monotonic()
        topic, value = message(entries[0][1], duty)
        self.send(topic, order_id, value)
        if topic == OUTCOMES:
            self.journal.append(order_id, len(entries), "told")

    def send(self, topic, key, value):
        problems = []
        self.producer.produce(
            topic, json.dumps(value), key, on_delivery=lambda error, _: problems.append(error)
        )
        self.producer.flush(20)
        if problems != [None]:
            raise SystemExit(f"not written to {topic}: {problems}")


orchestrator = Orchestrator()
signal.signal(signal.SIGTERM, orchestrator.on_signal)
orchestrator.run()
