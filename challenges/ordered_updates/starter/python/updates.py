"""Applies a change to the database, and publishes it."""

import logging

from confluent_kafka import Producer

import settings

log = logging.getLogger("updates")


class Updates:
    def __init__(self, database):
        self.database = database
        self.producer = Producer({"bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS})

    def handle(self, change):
        """Apply a change, then publish it."""
        # TODO (yours): write the row and the record. See the statement for what may happen.
        log.info("received %s: %s version %d", change["id"], change["item"], change["version"])
