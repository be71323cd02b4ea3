"""What the environment says."""

import os

KAFKA_BOOTSTRAP_SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
ORDERS_TOPIC = os.environ["ORDERS_TOPIC"]
ANNOUNCEMENTS_TOPIC = os.environ["ANNOUNCEMENTS_TOPIC"]
GROUP_ID = os.environ["GROUP_ID"]
DATABASE_URL = os.environ["DATABASE_URL"]
INSTANCE_ID = os.environ["INSTANCE_ID"]
