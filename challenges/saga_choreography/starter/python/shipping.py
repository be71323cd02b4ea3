"""The shipping service: decides how each order ends, and ships those that are reserved and paid."""

import logging

import settings

log = logging.getLogger("shipping")


class Shipping:
    topics = [settings.ORDERS_TOPIC, settings.PAYMENTS_TOPIC, settings.STOCK_EVENTS_TOPIC]

    def __init__(self, database, producer):
        self.database = database
        self.producer = producer

    def handle(self, event):
        # TODO (yours): decide once, deliver, and announce it in settings.SHIPMENTS_TOPIC.
        log.info("received %s of %s", event["type"], event["order_id"])
