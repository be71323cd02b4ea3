import json
import os
import signal
import sys
from collections import OrderedDict

import psycopg2
from kafka import KafkaConsumer


class SeenIds:
    """Remembers the most recent event ids."""

    def __init__(self, capacity=100_000):
        self.capacity = capacity
        self.ids = OrderedDict()

    def __contains__(self, event_id):
        return event_id in self.ids

    def add(self, event_id):
        self.ids[event_id] = True
        if len(self.ids) > self.capacity:
            self.ids.popitem(last=False)


def apply(db, event):
    with db, db.cursor() as cursor:
        cursor.execute(
            "insert into ledger (event_id, account, amount) values (%s, %s, %s)",
            (event["id"], event["account"], event["amount"]),
        )
        cursor.execute(
            """insert into balances (account, balance) values (%s, %s)
               on conflict (account) do update
               set balance = balances.balance + excluded.balance""",
            (event["account"], event["amount"]),
        )


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    db = psycopg2.connect(os.environ["DATABASE_URL"])
    consumer = KafkaConsumer(
        os.environ["PAYMENTS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    seen = SeenIds()
    for record in consumer:
        event = json.loads(record.value)
        if event["id"] not in seen:
            apply(db, event)
            seen.add(event["id"])
        consumer.commit()


main()
