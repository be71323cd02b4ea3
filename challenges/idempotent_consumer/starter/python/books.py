"""The books: a ledger and the balances of all accounts, in PostgreSQL."""

import logging

log = logging.getLogger("books")


class Books:
    def __init__(self, database):
        self.database = database

    def book(self, payment):
        """Book a payment, unless it is booked already."""
        # TODO (yours): write the ledger row and the balance. See the statement for what may happen.
        log.info("received %s: %+d on %s", payment["id"], payment["amount"], payment["account"])
