"""Snapshots are taken by a thread of their own, of what an account is a moment after the event."""

import queue

from sqlalchemy import text


class Snapshots:
    def __init__(self):
        self.queue = queue.Queue()

    def due(self, wanted):
        for each in wanted:
            self.queue.put(each)

    def run(self, store):
        while True:
            account, version = self.queue.get()
            with store.engine.begin() as db:
                balance = store.state(db, account).balance
                db.execute(
                    text("insert into snapshots (account, version, balance)"
                         " values (:account, :version, :balance)"),
                    {"account": account, "version": version, "balance": balance})
