"""Books payments. It connects and reads; what is missing is the booking itself."""

import logging
import signal

import psycopg

import settings
from books import Books
from consumer import PaymentConsumer

log = logging.getLogger("main")


def main():
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    log.info("%s starts, group %s", settings.INSTANCE_ID, settings.GROUP_ID)
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as database:
        consumer = PaymentConsumer(Books(database))
        signal.signal(signal.SIGTERM, consumer.stop)
        consumer.run()
    log.info("stopped")


main()
