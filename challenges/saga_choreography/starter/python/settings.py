"""What the environment says."""

import os

SERVICE = os.environ["SERVICE"]  # "stock" or "shipping"
GROUP_ID = os.environ["GROUP_ID"]
INSTANCE_ID = os.environ["INSTANCE_ID"]
KAFKA_BOOTSTRAP_SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
DATABASE_URL = os.environ["DATABASE_URL"]
ORDERS_TOPIC = os.environ["ORDERS_TOPIC"]
PAYMENTS_TOPIC = os.environ["PAYMENTS_TOPIC"]
STOCK_EVENTS_TOPIC = os.environ["STOCK_EVENTS_TOPIC"]
SHIPMENTS_TOPIC = os.environ["SHIPMENTS_TOPIC"]
