import asyncio, json, logging, os, signal

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError

E = os.environ
logging.basicConfig(level=logging.WARNING)
log = logging.getLogger()


async def book(db, payments):
    unique = {p["id"]: p for p in payments}
    async with db.transaction():
        fresh = {r["id"] for r in await db.fetch(
            "insert into inbox (id) select * from unnest($1::text[]) "
            "on conflict do nothing returning id", sorted(unique))}
        rows = [p for p in unique.values() if p["id"] in fresh]
        if not rows:
            return
        await db.executemany(
            "insert into ledger (event_id, account, amount) values ($1, $2, $3)",
            [(p["id"], p["account"], p["amount"]) for p in rows])
        sums = {}
        for p in rows:
            sums[p["account"]] = sums.get(p["account"], 0) + p["amount"]
        for account in sorted(sums):
            await db.execute(
                "insert into balances values ($1, $2) on conflict (account) "
                "do update set balance = balances.balance + excluded.balance",
                account, sums[account])


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    db = await asyncpg.connect(
        E["DATABASE_URL"], server_settings={"idle_in_transaction_session_timeout": "5000"})
    for attempt in range(5):
        try:
            await db.execute("do $$ begin perform pg_advisory_xact_lock(3); create table if not "
                             "exists inbox (id text primary key); end $$")
            break
        except asyncpg.PostgresError as error:
            log.warning("%r", error)
    consumer = AIOKafkaConsumer(
        E["PAYMENTS_TOPIC"], bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=E["GROUP_ID"], client_id=E["INSTANCE_ID"], enable_auto_commit=False,
        auto_offset_reset="earliest", session_timeout_ms=9000, heartbeat_interval_ms=2000)
    await consumer.start()
    try:
        later = []
        while not stop.is_set():
            while later:
                try:
                    await book(db, later[0])
                    later.pop(0)
                except asyncpg.exceptions.TransactionRollbackError:
                    break
            for tp, records in (await consumer.getmany(timeout_ms=300, max_records=80)).items():
                payments = [json.loads(r.value) for r in records]
                for attempt in range(3):
                    try:
                        await book(db, payments)
                        break
                    except asyncpg.exceptions.TransactionRollbackError as error:
                        log.warning("%r", error)
                        if attempt == 2:
                            later.append(payments)
                        await asyncio.sleep(0.1)
                try:
                    await consumer.commit({tp: records[-1].offset + 1})
                except (CommitFailedError, IllegalStateError) as error:
                    log.warning("%r", error)
    finally:
        await consumer.stop()
        await db.close()


asyncio.run(main())
