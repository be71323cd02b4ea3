"""What the environment says."""

import os

KAFKA_BOOTSTRAP_SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
ORDERS_TOPIC = os.environ["ORDERS_TOPIC"]
DLQ_TOPIC = os.environ["DLQ_TOPIC"]
GROUP_ID = os.environ["GROUP_ID"]
SHIPPING_URL = os.environ["SHIPPING_URL"]
INSTANCE_ID = os.environ["INSTANCE_ID"]
