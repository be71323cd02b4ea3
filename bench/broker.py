"""Brokers and PostgreSQL servers: how fast they are there, and what they cost idle.

Prints numbers, asserts none. Run it by `make bench`, on a machine that does nothing else.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sandbox.backing import Backing
from sandbox.broker import Broker
from sandbox.pool import Pool
from sandbox.postgres import DatabaseServer, lend_database
from sandbox.setup import prepare

RUNS = 10
IDLE_S = 10


async def timed(action: Callable[[], Awaitable[object]]) -> float:
    begin = time.perf_counter()
    await action()
    return time.perf_counter() - begin


def show(what: str, seconds: list[float], goal: str = "") -> None:
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    values = f"median {middle * 1000:7.1f} ms   ({low * 1000:.1f} to {high * 1000:.1f})"
    print(f"{what:42} {values}   {goal}")


def pss_mb(pids: list[int]) -> float:
    """The memory of these processes, what they share with others counted in part."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    lines = [line.split() for rollup in rollups for line in rollup.splitlines()]
    return sum(int(line[1]) for line in lines if line[0] == "Pss:") / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def server_pids(server: int) -> list[int]:
    """The server's process and its children, which are all idle helpers when nobody works."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [server, *map(int, children)]


async def cold_starts() -> None:
    starts, stops, cpu = [], [], []
    for _ in range(RUNS):
        begin = time.perf_counter()
        broker = await Broker.start()
        starts.append(time.perf_counter() - begin)
        cpu.append(cpu_s(broker.pid))
        stops.append(await timed(broker.stop))
    show("cold broker, start to metadata answer", starts, "goal 1000")
    show("  CPU time of that", cpu)
    show("broker, clean stop", stops)


async def lends() -> None:
    pool = Pool()
    await pool.start()
    times = []
    for _ in range(RUNS):
        while pool.warm == 0:  # noqa: ASYNC110 - a benchmark may look
            await asyncio.sleep(0.01)
        begin = time.perf_counter()
        async with pool.lend():
            times.append(time.perf_counter() - begin)
    await pool.close()
    show("lend what is warm", times, "goal 50")


async def databases() -> None:
    starts, ends, lend, whole = [], [], [], []
    for _ in range(RUNS):
        begin = time.perf_counter()
        server = await DatabaseServer.start()
        starts.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        async with lend_database(server, "CREATE TABLE t ()"):
            lend.append(time.perf_counter() - begin)
        whole.append(time.perf_counter() - begin)
        ends.append(await timed(server.kill))
    show("PostgreSQL server, start to connection", starts)
    show("lend a database", lend)
    show("  and drop it again, both", whole)
    show("PostgreSQL server, end", ends)


async def idle() -> None:
    backing = await Backing.start()
    broker = backing.broker
    before = cpu_s(broker.pid)
    await asyncio.sleep(IDLE_S)
    used = 100 * (cpu_s(broker.pid) - before) / IDLE_S
    shares = pss_mb([broker.pid]), pss_mb(server_pids(backing.databases.pid))
    print(f"{'idle memory (PSS)':42} broker {shares[0]:.0f} MB, PostgreSQL {shares[1]:.0f} MB")
    print(f"{'idle broker':42} {used:.1f} % of a core")
    await backing.kill()


async def main() -> None:
    await prepare(print)
    await cold_starts()
    await lends()
    await databases()
    await idle()


if __name__ == "__main__":
    asyncio.run(main())
