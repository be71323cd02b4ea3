"""What the environment says."""

import os

KAFKA_BOOTSTRAP_SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
CHANGES_TOPIC = os.environ["CHANGES_TOPIC"]
UPDATES_TOPIC = os.environ["UPDATES_TOPIC"]
GROUP_ID = os.environ["GROUP_ID"]
DATABASE_URL = os.environ["DATABASE_URL"]
INSTANCE_ID = os.environ["INSTANCE_ID"]
