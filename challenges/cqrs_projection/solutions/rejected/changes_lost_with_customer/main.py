"""Aiokafka, asyncpg, asyncio HTTP; totals in the customer's row; the new view is folded in memory and
written in the moment of the change; a rebuild promised before a restart is taken up again."""

import asyncio
import json
import logging
import os
import signal
from urllib.parse import parse_qs, urlsplit

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
E = os.environ
C, O = E["CUSTOMERS_TOPIC"], E["ORDERS_TOPIC"]
SHORT = {C: "customers", O: "orders"}
TPS = [TopicPartition(C, i) for i in range(2)] + [TopicPartition(O, i) for i in range(3)]
DDL = """
create table if not exists meta (one bool primary key default true, live int not null default 1, asked int not null default 1);
insert into meta default values on conflict do nothing;
create table if not exists progress (part text primary key, next bigint not null);
create table if not exists customers (customer text primary key, name text, deleted bool not null default false, open_orders int not null default 0, total bigint not null default 0);
create table if not exists orders (id text primary key, customer text not null, cents bigint not null, open bool not null default true);
"""


def part(tp):
    return f"{SHORT[tp.topic]}-{tp.partition}"


async def retry(pool, f, *a):
    while True:
        try:
            async with pool.acquire() as c:
                async with c.transaction():
                    return await f(c, *a)
        except asyncpg.SerializationError:
            await asyncio.sleep(0.02)


async def take_up(c, m):
    await c.execute("select from meta for update")
    p = part(m)
    e = None if m.value is None else json.loads(m.value)
    if m.topic == O and e and e["type"] == "placed" and e["cents"] >= 100000:
        if not await c.fetchval("select exists (select from reviews where event_id = $1)", e["id"]):
            await c.execute(
                "insert into reviews (event_id, order_id, cents) values ($1, $2, $3)",
                e["id"],
                e["order"],
                e["cents"],
            )
    if m.offset < (await c.fetchval("select next from progress where part = $1", p) or 0):
        return
    if m.topic == C:
        await c.execute(
            "insert into customers (customer, name, deleted) values ($1, $2::text, $2::text is null) on conflict (customer) do update set name = $2::text, deleted = ($2::text is null)",
            m.key.decode(),
            e and e["name"],
        )
    elif e["type"] == "placed":
        await c.execute(
            "insert into orders (id, customer, cents) values ($1, $2, $3)",
            e["order"],
            e["customer"],
            e["cents"],
        )
        await c.execute(
            "insert into customers (customer, open_orders, total) values ($1, 1, $2) on conflict (customer) do update set "
            "open_orders = customers.open_orders + 1, total = customers.total + $2",
            e["customer"],
            e["cents"],
        )
    elif e["type"] == "changed":
        who = await c.fetchval(
            "update orders set cents = cents + $2 where id = $1 returning customer",
            e["order"],
            e["cents"],
        )
        await c.execute(
            "update customers set total = total + $2 where customer = $1 and not deleted",
            who,
            e["cents"],
        )
    elif e["type"] == "cancelled":
        r = await c.fetchrow(
            "delete from orders where id = $1 returning customer, cents", e["order"]
        )
        if r:
            await c.execute(
                "update customers set total = total - $2, open_orders = open_orders - 1 where customer = $1 and not deleted",
                r[0],
                r[1],
            )
    await c.execute(
        "insert into progress values ($1, $2) on conflict (part) do update set next = $2",
        p,
        m.offset + 1,
    )


async def live(pool, stop):
    k = AIOKafkaConsumer(
        C,
        O,
        bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=E["GROUP_ID"],
        client_id=E["INSTANCE_ID"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=6000,
        heartbeat_interval_ms=1500,
    )
    await k.start()
    due = {}
    try:
        while not stop.is_set():
            for tp, ms in (await k.getmany(timeout_ms=200, max_records=20)).items():
                for m in ms:
                    await retry(pool, take_up, m)
                    due[tp] = m.offset + 1
            if due:
                due = {tp: o for tp, o in due.items() if tp in k.assignment()}
                try:
                    await asyncio.wait_for(k.commit(due), 20)
                    due = {}
                except (KafkaError, asyncio.TimeoutError) as e:
                    logging.warning("commit: %r", e)
    finally:
        try:
            await asyncio.wait_for(k.stop(), 3)
        except asyncio.TimeoutError:
            pass


async def rebuild(pool, gen):
    k = AIOKafkaConsumer(
        bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=None,
        client_id=E["INSTANCE_ID"] + "-r",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await k.start()
    k.assign(TPS)
    names, orders, at = {}, {}, {tp: 0 for tp in TPS}

    async def change(c):
        await c.execute("select from meta for update")
        for r in await c.fetch("select part, next from progress"):
            if next((n for tp, n in at.items() if part(tp) == r[0]), 0) < r[1]:
                return False
        await c.execute("delete from customers")
        await c.execute("delete from orders")
        await c.execute("delete from progress")
        rows = {n: [v, 0, 0] for n, v in names.items()}
        for who, cents in orders.values():
            r = rows.setdefault(who, [None, 0, 0])
            r[1] += 1
            r[2] += cents
        await c.executemany(
            "insert into customers (customer, name, open_orders, total, deleted) values ($1, $2, $3, $4, $5)",
            [(n, *r, n in names and names[n] is None) for n, r in rows.items()],
        )
        await c.executemany(
            "insert into orders values ($1, $2, $3)", [(i, *v) for i, v in orders.items()]
        )
        await c.executemany(
            "insert into progress values ($1, $2)", [(part(tp), n) for tp, n in at.items()]
        )
        await c.execute("update meta set live = $1", gen)
        return True

    try:
        while True:
            for tp, ms in (await k.getmany(timeout_ms=200)).items():
                for m in ms:
                    e = None if m.value is None else json.loads(m.value)
                    if m.topic == C:
                        names[m.key.decode()] = e and e["name"]
                    elif e["type"] == "placed":
                        orders[e["order"]] = [e["customer"], e["cents"]]
                    elif e["type"] == "changed":
                        orders[e["order"]][1] += e["cents"]
                    elif e["type"] == "cancelled":
                        orders.pop(e["order"], None)
                    at[tp] = m.offset + 1
            for tp in TPS:
                try:
                    at[tp] = max(at[tp], await asyncio.wait_for(k.position(tp), 0.2))
                except asyncio.TimeoutError:
                    pass
            if await retry(pool, change):
                return
    finally:
        asyncio.create_task(k.stop())


QUERY = """select m.live, (select json_object_agg(part, next) from progress), c.name, c.open_orders, c.total
from meta m left join customers c on c.customer = $1"""


async def answer(pool, who, after):
    loop = asyncio.get_running_loop()
    until = loop.time() + 2.8
    while True:
        gen, at, name, n, total = await pool.fetchrow(QUERY, who)
        at = json.loads(at or "{}")
        if after is None or at.get(after.split("@")[0], 0) > int(after.split("@")[1]):
            break
        if loop.time() > until:
            return 503, {"error": "not yet"}
        await asyncio.sleep(0.03)
    if name is None:
        return 404, {"as_of": at, "generation": gen}
    return 200, {
        "customer": who,
        "name": name,
        "open_orders": n,
        "total_cents": total,
        "as_of": at,
        "generation": gen,
    }


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pool = await asyncpg.create_pool(E["DATABASE_URL"], min_size=1, max_size=8)
    await pool.execute(DDL)
    tasks = set()

    def start(coroutine):
        t = asyncio.create_task(coroutine)
        tasks.add(t)
        t.add_done_callback(
            lambda t: (
                t.cancelled()
                or not t.exception()
                or (logging.error("died", exc_info=t.exception()), os._exit(1))
            )
        )
        return t

    async def serve(r, w):
        try:
            while line := await r.readline():
                method, target, _ = line.decode().split()
                length = 0
                while h := (await r.readline()).strip():
                    if h.lower().startswith(b"content-length:"):
                        length = int(h.split(b":")[1])
                if length:
                    await r.readexactly(length)
                u = urlsplit(target)
                where = u.path.strip("/").split("/")
                if method == "POST":
                    gen = await pool.fetchval(
                        "update meta set asked = greatest(asked, live) + 1 returning asked"
                    )
                    start(rebuild(pool, gen))
                    status, body = 202, {"generation": gen}
                elif where[0] == "generations":
                    status, body = (
                        (
                            200
                            if await pool.fetchval("select live from meta") >= int(where[1])
                            else 503
                        ),
                        {},
                    )
                else:
                    status, body = await answer(
                        pool, where[1], parse_qs(u.query).get("after", [None])[0]
                    )
                b = json.dumps(body).encode()
                w.write(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(b)}\r\n\r\n".encode()
                    + b
                )
                await w.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            w.close()

    await asyncio.start_server(serve, "127.0.0.1", int(E["PORT"]))
    asked, current = await pool.fetchrow("select asked, live from meta")
    if asked > current:
        start(rebuild(pool, asked))
    await start(live(pool, stop))
    os._exit(0)


asyncio.run(main())
