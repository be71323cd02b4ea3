"""The stock service: reserves goods for orders, and releases those of orders that failed."""

import logging

import settings

log = logging.getLogger("stock")


class Stock:
    topics = [settings.ORDERS_TOPIC, settings.SHIPMENTS_TOPIC]

    def __init__(self, database, producer):
        self.database = database
        self.producer = producer

    def handle(self, event):
        # TODO (yours): reserve on OrderPlaced, release on OrderFailed, and announce it in
        # settings.STOCK_EVENTS_TOPIC. See the statement for what may happen in between.
        log.info("received %s of %s", event["type"], event["order_id"])
