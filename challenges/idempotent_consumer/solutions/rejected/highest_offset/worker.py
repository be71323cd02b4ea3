import os
import threading

import psycopg


class Worker(threading.Thread):
    def __init__(self, tasks, offsets):
        super().__init__(daemon=True)
        self.tasks = tasks
        self.offsets = offsets
        self.db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)

    def create_table(self):
        self.db.execute(
            "create table if not exists processed_events (event_id text primary key)")

    def run(self):
        while True:
            partition, offset, event = self.tasks.get()
            self.book(event)
            self.offsets.done(partition, offset)

    def book(self, event):
        with self.db.transaction():
            new = self.db.execute(
                "insert into processed_events values (%s) on conflict do nothing",
                (event["id"],)).rowcount
            if new:
                self.db.execute(
                    "insert into ledger (event_id, account, amount)"
                    " values (%(id)s, %(account)s, %(amount)s)", event)
                self.db.execute(
                    "insert into balances values (%(account)s, %(amount)s)"
                    " on conflict (account)"
                    " do update set balance = balances.balance + excluded.balance", event)
