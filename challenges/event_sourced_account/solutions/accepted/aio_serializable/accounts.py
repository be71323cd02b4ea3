"""What can be done to accounts, and asked about them."""

import asyncio
from datetime import datetime

import asyncpg

TABLES = """
    create table if not exists to_publish (
        number bigserial primary key, instance text not null, body jsonb not null)
"""


class Accounts:
    def __init__(self, pool, instance):
        self.pool = pool
        self.instance = instance
        self.news = asyncio.Event()

    async def prepare(self):
        async with self.pool.acquire() as db, db.transaction():
            await db.execute("select pg_advisory_xact_lock(3)")
            await db.execute(TABLES)

    async def serializable(self, decide, *args):
        while True:
            try:
                async with self.pool.acquire() as db, db.transaction(isolation="serializable"):
                    return await decide(db, *args)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                await asyncio.sleep(0.01)

    async def deposit(self, event):
        await self.serializable(self._deposit, event)
        self.news.set()

    async def withdraw(self, name, command):
        answer = await self.serializable(self._withdraw, name, command)
        self.news.set()
        return answer

    async def _deposit(self, db, event):
        log = await read(db, event["account"])
        if all(entry["command"] != event["id"] for entry in log):
            await self._append(db, log, event["account"], event["id"], event["amount"])

    async def _withdraw(self, db, name, command):
        log = await read(db, name)
        for entry in log:
            if entry["command"] == command["id"]:
                version = entry["version"]
                return 201, {"version": version, "balance": fold(log[:version])}
        if command.get("expected_version") not in (None, len(log)):
            return 409, {"version": len(log)}
        if fold(log) < command["amount"]:
            return 422, {"balance": fold(log)}
        await self._append(db, log, name, command["id"], -command["amount"])
        return 201, {"version": len(log) + 1, "balance": fold(log) - command["amount"]}

    async def _append(self, db, log, name, command, change):
        version = len(log) + 1
        type = "deposited" if change > 0 else "withdrawn"
        await db.execute(
            "insert into events (account, version, command_id, type, data)"
            " values ($1, $2, $3, $4, $5)", name, version, command, type, {"amount": abs(change)})
        await db.execute(
            "insert into to_publish (instance, body) values ($1, $2)", self.instance,
            {"id": command, "account": name, "version": version, "type": type,
             "amount": abs(change)})
        if version % 20 == 0:
            await db.execute(
                "insert into snapshots (account, version, balance) values ($1, $2, $3)",
                name, version, fold(log) + change)

    async def look(self, name, query):
        """The events until the moment that the query names."""
        async with self.pool.acquire() as db:
            log = await read(db, name)
        if "version" in query:
            wanted = int(query["version"])
            return log[:wanted] if wanted <= len(log) else []
        if "at" in query:
            at = datetime.fromisoformat(query["at"])
            return log[:max((e["version"] for e in log if e["recorded_at"] <= at), default=0)]
        return log

    async def unpublished(self):
        self.news.clear()
        rows = await self.pool.fetch(
            "select number, body from to_publish where instance = $1 order by number",
            self.instance)
        return [(row["number"], row["body"]) for row in rows]

    async def was_published(self, number):
        await self.pool.execute("delete from to_publish where number = $1", number)

    async def wait_for_news(self):
        await self.news.wait()


async def read(db, name):
    """The log of an account: command, version, change in cents, and when it was recorded."""
    rows = await db.fetch(
        "select command_id, version, type, format, data, recorded_at from events"
        " where account = $1 order by version", name)
    return [
        {"command": row["command_id"], "version": row["version"], "change": change(row),
         "recorded_at": row["recorded_at"]}
        for row in rows
    ]


def change(row):
    amount = row["data"]["amount"]
    if row["format"] == 1:
        return int(amount.replace(".", ""))
    return amount if row["type"] == "deposited" else -amount


def fold(log):
    return sum(entry["change"] for entry in log)
