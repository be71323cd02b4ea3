"""What the environment says."""

import os

KAFKA_BOOTSTRAP_SERVERS = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
COMMANDS_TOPIC = os.environ["COMMANDS_TOPIC"]
EVENTS_TOPIC = os.environ["EVENTS_TOPIC"]
GROUP_ID = os.environ["GROUP_ID"]
DATABASE_URL = os.environ["DATABASE_URL"]
INSTANCE_ID = os.environ["INSTANCE_ID"]
