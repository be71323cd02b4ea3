class ProcessedEventRepository:
    def __init__(self, pool):
        self.pool = pool

    async def create(self):
        await self.pool.execute(
            "create table if not exists processed_events (event_id text primary key)")

    async def contains(self, event_id):
        return await self.pool.fetchval(
            "select exists (select from processed_events where event_id = $1)", event_id)

    async def add(self, event_id):
        await self.pool.execute(
            "insert into processed_events (event_id) values ($1) on conflict do nothing",
            event_id)


class LedgerRepository:
    def __init__(self, pool):
        self.pool = pool

    async def append(self, event):
        async with self.pool.acquire() as db, db.transaction():
            await db.execute(
                "insert into ledger (event_id, account, amount) values ($1, $2, $3)",
                event["id"], event["account"], event["amount"])
            await db.execute(
                "insert into balances (account, balance) values ($1, $2) on conflict (account)"
                " do update set balance = balances.balance + excluded.balance",
                event["account"], event["amount"])
