"""The tables, and the one transaction that books an event."""

from sqlalchemy import BigInteger, Column, Identity, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import insert

metadata = MetaData()
ledger = Table(
    "ledger", metadata,
    Column("entry", BigInteger, Identity(), primary_key=True),
    Column("event_id", Text), Column("account", Text), Column("amount", BigInteger),
)
balances = Table(
    "balances", metadata,
    Column("account", Text, primary_key=True), Column("balance", BigInteger),
)
processed_events = Table(
    "processed_events", metadata, Column("event_id", Text, primary_key=True),
)


def add_to_balance(account, amount):
    row = insert(balances).values(account=account, balance=amount)
    return row.on_conflict_do_update(
        index_elements=[balances.c.account],
        set_={"balance": balances.c.balance + row.excluded.balance},
    )


class Store:
    def __init__(self, engine):
        self.engine = engine

    def create_table(self):
        processed_events.create(self.engine, checkfirst=True)

    def book(self, event):
        """Book the event unless it is booked; one transaction."""
        marker = (
            insert(processed_events).values(event_id=event["id"])
            .on_conflict_do_nothing().returning(processed_events.c.event_id)
        )
        entry = ledger.insert().values(
            event_id=event["id"], account=event["account"], amount=event["amount"],
        ).inline()
        with self.engine.begin() as db:
            if db.execute(marker).first() is not None:
                db.execute(entry)
                db.execute(add_to_balance(event["account"], event["amount"]))
