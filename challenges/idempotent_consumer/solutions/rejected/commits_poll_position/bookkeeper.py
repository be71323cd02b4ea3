class Bookkeeper:
    def __init__(self, db):
        self.db = db
        db.execute("create table if not exists processed_events (event_id text primary key)")

    def book(self, event):
        with self.db.transaction():
            marked = self.db.execute(
                "insert into processed_events values (%(id)s) on conflict do nothing", event)
            if marked.rowcount == 0:
                return
            self.db.execute(
                "insert into ledger (event_id, account, amount)"
                " values (%(id)s, %(account)s, %(amount)s)", event)
            self.db.execute(
                "insert into balances values (%(account)s, %(amount)s) on conflict (account)"
                " do update set balance = balances.balance + excluded.balance", event)
