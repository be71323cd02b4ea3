"""The view: what the records add up to, in PostgreSQL."""

import logging

import psycopg

import settings

log = logging.getLogger("view")


class View:
    def take_up(self, topic, partition, offset, key, value):
        """Take a record into the view."""
        # TODO (yours): rows, positions and reviews. See the statement for what may happen.
        log.info("received %s-%d@%d", topic, partition, offset)

    def answer(self, customer, after):
        """Status and JSON of an answer about a customer; `after` is a token or None."""
        with psycopg.connect(settings.DATABASE_URL) as database:
            database.execute("select 1")
        # TODO (yours): the customer's row, how far it goes, and from which view.
        return 404, {"as_of": {}, "generation": 1}

    def rebuild(self):
        """Begin to make a new view from offset zero; returns its number."""
        # TODO (yours)
        return 1
