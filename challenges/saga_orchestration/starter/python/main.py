"""Takes orders. It connects, keeps each order and asks the stock; what is missing is the saga."""

import json
import logging
import os
import signal

import psycopg
from confluent_kafka import Consumer, Producer

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("orchestrator")

BROKER = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
ORDERS = os.environ["ORDERS_TOPIC"]
REPLIES = os.environ["REPLIES_TOPIC"]


class Orchestrator:
    def __init__(self):
        self.running = True
        self.database = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        self.producer = Producer(BROKER)
        self.consumer = Consumer({
            **BROKER,
            "group.id": os.environ["GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        })

    def stop(self, *_):
        self.running = False

    def run(self):
        self.consumer.subscribe([ORDERS, REPLIES])
        while self.running:
            message = self.consumer.poll(0.2)
            if message is None or message.error():
                continue
            value = json.loads(message.value())
            if message.topic() == ORDERS:
                self.on_order(value)
            else:
                self.on_reply(value)
            self.consumer.commit(message)
        self.consumer.close()

    def on_order(self, order):
        log.info("order %s", order)
        self.send("STOCK_COMMANDS_TOPIC", {
            "id": f"{order['id']}:reserve",
            "order": order["id"],
            "action": "reserve",
            "sku": order["sku"],
            "quantity": order["quantity"],
        })

    def on_reply(self, reply):
        log.info("reply %s", reply)

    def send(self, variable, value):
        self.producer.produce(os.environ[variable], json.dumps(value), value["order"])
        self.producer.flush()


orchestrator = Orchestrator()
signal.signal(signal.SIGTERM, orchestrator.stop)
orchestrator.run()
