"""Applies and publishes changes. It connects and reads; the work itself is missing."""

import logging
import signal

import psycopg

import settings
from consumer import ChangeConsumer
from updates import Updates

log = logging.getLogger("main")


def main():
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    log.info("%s starts, group %s", settings.INSTANCE_ID, settings.GROUP_ID)
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as database:
        consumer = ChangeConsumer(Updates(database))
        signal.signal(signal.SIGTERM, consumer.stop)
        consumer.run()
    log.info("stopped")


main()
