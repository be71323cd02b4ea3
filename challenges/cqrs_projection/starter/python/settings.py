"""What the environment says."""

import os

KAFKA_BOOTSTRAP_SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
CUSTOMERS_TOPIC = os.environ["CUSTOMERS_TOPIC"]
ORDERS_TOPIC = os.environ["ORDERS_TOPIC"]
GROUP_ID = os.environ["GROUP_ID"]
DATABASE_URL = os.environ["DATABASE_URL"]
INSTANCE_ID = os.environ["INSTANCE_ID"]
PORT = int(os.environ["PORT"])
