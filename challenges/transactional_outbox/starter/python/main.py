"""Changes bookings and announces the changes. It connects and reads; the work itself is missing."""

import json
import logging
import signal

import psycopg
from confluent_kafka import Consumer, Producer

import settings

log = logging.getLogger("bookings")


class Service:
    def __init__(self, database):
        self.running = True
        self.database = database
        self.producer = Producer({"bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS})
        self.consumer = Consumer({
            "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
            "client.id": settings.INSTANCE_ID,
            "group.id": settings.GROUP_ID,
        })

    def stop(self, signum, frame):
        self.running = False

    def run(self):
        self.consumer.subscribe([settings.COMMANDS_TOPIC])
        while self.running:
            message = self.consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                log.warning("%s", message.error())
                continue
            self.carry_out(json.loads(message.value()))
        self.consumer.close()

    def carry_out(self, command):
        # TODO (yours): change the booking, and have the change published.
        log.info("received %s: %s, %d seats", command["id"], command["booking"], command["seats"])


def main():
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    log.info("%s starts, group %s", settings.INSTANCE_ID, settings.GROUP_ID)
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as database:
        service = Service(database)
        signal.signal(signal.SIGTERM, service.stop)
        service.run()
    log.info("stopped")


main()
