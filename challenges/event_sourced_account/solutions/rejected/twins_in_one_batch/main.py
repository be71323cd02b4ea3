"""asyncio: aiokafka, asyncpg, HTTP written by hand (keep-alive). Head row per account with row locks; a whole batch of
deposits is one transaction. What is published is remembered in a table of its own, beside a baseline."""
import asyncio, json, os, signal
from decimal import Decimal
from datetime import datetime, timezone
from urllib.parse import urlsplit, parse_qsl, unquote
import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

E = os.environ
DDL = """
create table if not exists heads (account text primary key);
create table if not exists baseline (one int primary key, entry bigint not null);
create table if not exists published (entry bigint primary key);
insert into baseline select 1, coalesce(max(entry), 0) from events on conflict do nothing;
"""
kick = asyncio.Event()


async def again(pool, job, tries=None, **tx):
    n = 0
    while True:
        try:
            async with pool.acquire(timeout=4) as c:
                async with c.transaction(**tx):
                    return await job(c)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as e:
            n += 1
            print("db", repr(e)[:160], flush=True)
            if tries and n >= tries:
                raise
            await asyncio.sleep(0.05)


def norm(r):
    d = json.loads(r["data"])
    if r["format"] == 1:
        a = int((Decimal(d["amount"]) * 100).to_integral_exact())
        return ("deposited", a) if a > 0 else ("withdrawn", -a)
    return r["type"], d["amount"]


def fold(rows, bal=0):
    for r in rows:
        t, a = norm(r)
        bal += a if t == "deposited" else -a
    return bal


COLS = "version, type, format, data, command_id, recorded_at"


async def state(c, account, version=None):
    """(version, balance), with the help of a snapshot"""
    s = await c.fetchrow("select version, balance from snapshots where account=$1 and version <= coalesce($2, 2147483647)"
                         " order by version desc limit 1", account, version)
    v, b = (s["version"], s["balance"]) if s else (0, 0)
    rows = await c.fetch(f"select {COLS} from events where account=$1 and version > $2 and version <= coalesce($3, 2147483647)"
                         " order by version", account, v, version)
    return (rows[-1]["version"] if rows else v), fold(rows, b)


async def lock(c, account):
    await c.execute("insert into heads values ($1) on conflict do nothing", account)
    await c.execute("select 1 from heads where account=$1 for update", account)


async def append(c, account, v, cid, t, amount, bal):
    await c.execute("insert into events (account, version, command_id, type, format, data) values ($1,$2,$3,$4,2,$5)",
                    account, v, cid, t, json.dumps({"amount": amount}))
    if v % 20 == 0:
        await c.execute("insert into snapshots (account, version, balance) values ($1,$2,$3)", account, v, bal)


async def known(c, account, cid):
    return await c.fetchval("select version from events where command_id=$1 and account=$2", cid, account)


async def deposits(c, ds):
    for a in sorted({d["account"] for d in ds}):
        await lock(c, a)
    at = {}
    old = {r[0] for r in await c.fetch("select command_id from events where command_id = any($1)", [d["id"] for d in ds])}
    for d in ds:
        a = d["account"]
        if d["id"] in old:
            continue
        if a not in at:
            at[a] = await state(c, a)
        v, b = at[a]
        at[a] = v + 1, b + d["amount"]
        await append(c, a, v + 1, d["id"], "deposited", d["amount"], b + d["amount"])


async def withdraw(c, account, cmd):
    await lock(c, account)
    v = await known(c, account, cmd["id"])
    if v:
        return 201, {"version": v, "balance": (await state(c, account, v))[1]}
    v, b = await state(c, account)
    if cmd.get("expected_version") not in (None, v):
        return 409, {"is": v}
    if b < cmd["amount"]:
        return 422, {"balance": b}
    await append(c, account, v + 1, cmd["id"], "withdrawn", cmd["amount"], b - cmd["amount"])
    return 201, {"version": v + 1, "balance": b - cmd["amount"]}


async def question(c, account, q, history):
    limit = int(q["version"]) if "version" in q else None
    if "at" in q:
        at = datetime.fromisoformat(q["at"].replace("Z", "+00:00"))
        if at.tzinfo is None:
            at = at.replace(tzinfo=timezone.utc)
        limit = await c.fetchval("select coalesce(max(version), 0) from events where account=$1 and recorded_at <= $2", account, at)
    if history:
        rows = await c.fetch(f"select {COLS} from events where account=$1 and version <= coalesce($2, 2147483647) order by version",
                             account, limit)
        if not rows:
            return 404, {}
        ev = []
        for r in rows:
            t, a = norm(r)
            ev.append({"version": r["version"], "type": t, "amount": a})
        return 200, {"account": account, "version": len(ev), "events": ev}
    v, b = await state(c, account, limit)
    if v == 0:
        return 404, {}
    return 200, {"account": account, "version": v, "balance": b}


class Http:
    def __init__(self, wpool, rpool):
        self.w, self.r = wpool, rpool

    async def serve(self, rd, wr):
        try:
            while True:
                head = (await rd.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, target, _ = head[0].split(" ")
                hs = {k.strip().lower(): v.strip() for k, _, v in (h.partition(":") for h in head[1:] if h)}
                body = await rd.readexactly(int(hs.get("content-length", 0)))
                try:
                    s, a = await self.route(method, target, body)
                except Exception as e:
                    print("http", repr(e), flush=True)
                    s, a = 500, {"error": str(e)}
                out = json.dumps(a).encode()
                wr.write(f"HTTP/1.1 {s} X\r\nContent-Type: application/json\r\nContent-Length: {len(out)}\r\n\r\n".encode() + out)
                await wr.drain()
                if hs.get("connection", "").lower() == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            wr.close()

    async def route(self, method, target, body):
        u = urlsplit(target)
        p = u.path.split("/")
        account = unquote(p[2])
        if method == "POST":
            cmd = json.loads(body)
            # shielded: a client that hangs up does not tear a decision apart
            r = await asyncio.shield(again(self.w, lambda c: withdraw(c, account, cmd), 20))
            kick.set()
            return r
        q = dict(parse_qsl(u.query))
        return await again(self.r, lambda c: question(c, account, q, len(p) > 3 and p[3] == "history"), 20,
                           isolation="repeatable_read", readonly=True)


async def publish(pool):
    p = AIOKafkaProducer(bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"], acks="all", enable_idempotence=True)
    await p.start()

    async def job(c):
        await c.execute("select pg_advisory_xact_lock(99)")
        rows = await c.fetch(f"select entry, account, {COLS} from events e where entry > (select entry from baseline)"
                             " and not exists (select from published p where p.entry = e.entry) order by entry limit 100")
        fs = []
        for r in rows:
            t, a = norm(r)
            fs.append(await p.send(E["ACCOUNT_EVENTS_TOPIC"], key=r["account"].encode(), value=json.dumps(
                {"id": r["command_id"], "account": r["account"], "version": r["version"], "type": t, "amount": a}).encode()))
        for f in fs:
            await f
        await c.executemany("insert into published values ($1) on conflict do nothing", [(r["entry"],) for r in rows])
        return len(rows)
    while True:
        try:
            n = await again(pool, job)
        except Exception as e:
            print("publish", repr(e), flush=True)
            n = 0
        if not n:
            try:
                await asyncio.wait_for(kick.wait(), 0.3)
            except asyncio.TimeoutError:
                pass
            kick.clear()


async def main():
    loop = asyncio.get_running_loop()
    halt = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, halt.set)
    w = await asyncpg.create_pool(E["DATABASE_URL"], min_size=1, max_size=8)
    r = await asyncpg.create_pool(E["DATABASE_URL"], min_size=1, max_size=5)
    pp = await asyncpg.create_pool(E["DATABASE_URL"], min_size=1, max_size=1)

    async def init(c):
        await c.execute("select pg_advisory_xact_lock(98)")
        await c.execute(DDL)
    await again(w, init)
    h = Http(w, r)
    await asyncio.start_server(h.serve, "127.0.0.1", int(E["PORT"]), backlog=200)
    asyncio.create_task(publish(pp))
    con = AIOKafkaConsumer(E["DEPOSITS_TOPIC"], bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"], group_id=E["GROUP_ID"],
                           client_id=E["INSTANCE_ID"], enable_auto_commit=False, auto_offset_reset="earliest")
    await con.start()

    async def consume():
        while True:
            got = await con.getmany(timeout_ms=300, max_records=50)
            ms = [m for l in got.values() for m in l]
            if not ms:
                continue
            ds = [json.loads(m.value) for m in ms]
            await again(w, lambda c: deposits(c, ds))
            kick.set()
            try:
                await con.commit({tp: OffsetAndMetadata(l[-1].offset + 1, "") for tp, l in got.items() if l})
            except Exception as e:
                print("commit", repr(e), flush=True)
    t = asyncio.create_task(consume())
    await asyncio.wait([t, asyncio.create_task(halt.wait())], return_when=asyncio.FIRST_COMPLETED)
    if t.done():
        print("ended", t, flush=True)
        os._exit(1)
    t.cancel()
    try:
        await asyncio.wait_for(con.stop(), 3)
    except Exception:
        pass
    os._exit(0)


asyncio.run(main())
