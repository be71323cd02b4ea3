"""Programs' database connections through the gateway."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio

from sandbox.broker import Broker
from sandbox.gateway import Gateway, Limits
from sandbox.gateway.database import COMMITS
from sandbox.gateway.gateway import DATABASE_PORT
from sandbox.postgres import Database, DatabaseServer, lend_database
from tests.sandbox.gateway.stage import Stage
from tests.sandbox.waiting import until

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]


class Door:
    """An instance's way to the database."""

    def __init__(self, database: Database, port: int) -> None:
        self._url = (
            f"postgresql://{database.role}:{database.password}@127.0.0.1:{port}/{database.name}"
        )

    async def connect(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True)


@pytest_asyncio.fixture(loop_scope="session")
async def database(prepared: None) -> AsyncIterator[Database]:
    server = await DatabaseServer.start()
    async with lend_database(server, "") as database:
        yield database
    await server.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def doors(
    broker: Broker, database: Database
) -> AsyncIterator[tuple[Stage, Gateway, Door, Door]]:
    stage = Stage(broker)
    gateway = stage.make_gateway(Limits(database_connections=3), database.address)
    made = []
    for instance in ("a", "b"):
        door = socket.create_server(("127.0.0.1", 0))
        made.append(Door(database, door.getsockname()[1]))
        await gateway.attach(instance, {DATABASE_PORT: door})
    yield stage, gateway, *made
    await gateway.close()
    await stage.close()
    assert gateway.failure is None


async def client_port(connection: psycopg.AsyncConnection) -> int:
    row = await (await connection.execute("SELECT inet_client_port()")).fetchone()
    return row[0]


async def test_a_writer_is_known_by_the_port_the_database_sees(doors) -> None:
    stage, gateway, a, b = doors
    async with await a.connect() as first, await b.connect() as second, await a.connect() as third:
        connections = (first, second, third)
        ports = [await client_port(connection) for connection in connections]
        assert [gateway.instance_of(port) for port in ports] == ["a", "b", "a"]
    assert gateway.instance_of(1) is None
    assert len(stage.of("connection", instance="a", service="database", what="opened")) == 2


async def test_large_answers_and_questions_pass_whole(doors) -> None:
    _, _, a, _ = doors
    text = "x" * 3_000_000
    async with await a.connect() as connection:
        row = await (await connection.execute("SELECT %s::text || 'y'", [text])).fetchone()
        assert row == (text + "y",)


async def test_cut_breaks_the_connections_of_one_instance(doors) -> None:
    _, gateway, a, b = doors
    async with await b.connect() as other:
        broken = await a.connect()
        gateway.cut_database("a")
        with pytest.raises(psycopg.OperationalError):
            await broken.execute("SELECT 1")
        await other.execute("SELECT 1")
        async with await a.connect() as again:
            await again.execute("SELECT 1")


async def test_an_uncommitted_transaction_dies_with_its_connection(doors) -> None:
    _, gateway, a, b = doors
    async with await b.connect() as other:
        await other.execute("CREATE TABLE t (n int)")
        broken = await a.connect()
        await broken.execute("BEGIN; INSERT INTO t VALUES (1)")
        gateway.cut_database("a")
        # Waits for the lock that the other one's transaction has until it is gone.
        await other.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; COMMIT")
        row = await (await other.execute("SELECT count(*) FROM t")).fetchone()
        assert row == (0,)


async def test_database_connections_are_capped(doors) -> None:
    stage, _, a, _ = doors
    connections = [await a.connect() for _ in range(3)]
    with pytest.raises(psycopg.OperationalError):
        await a.connect()
    assert stage.of("connection", service="database", what="refused")
    await asyncio.gather(*(connection.close() for connection in connections))


async def test_detach_ends_the_sessions(doors) -> None:
    _, gateway, a, _ = doors
    connection = await a.connect()
    await gateway.detach("a")
    with pytest.raises(psycopg.OperationalError):
        await connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        await a.connect()


async def test_no_database_behind_the_door(broker: Broker) -> None:
    stage = Stage(broker)
    gateway = stage.make_gateway(Limits(), database=("127.0.0.1", 1))
    door = socket.create_server(("127.0.0.1", 0))
    await gateway.attach("a", {DATABASE_PORT: door})
    client = socket.create_connection(door.getsockname())
    await stage.fact("connection", service="database", what="refused")
    client.close()
    await gateway.close()
    await stage.close()


async def test_a_commit_is_done_before_the_program_hears_of_it(doors) -> None:
    stage, gateway, a, b = doors
    async with await a.connect() as writer, await b.connect() as reader:
        await writer.execute("CREATE TABLE held (n int)")
        fault = gateway.commit_fault(instance="a", nth=2).hold_response()
        await writer.execute("INSERT INTO held VALUES (1)")
        await reader.execute("INSERT INTO held VALUES (2)")
        async with asyncio.TaskGroup() as tasks:
            await writer.execute("BEGIN")
            await writer.execute("INSERT INTO held VALUES (3)")
            commit = tasks.create_task(writer.execute("COMMIT"))
            await asyncio.wait_for(fault.wait_applied(), 30)
            assert await numbers_in(reader, "held") == [1, 2, 3]
            assert not commit.done()
            fault.release()
        await writer.execute("INSERT INTO held VALUES (4)")
        assert await numbers_in(reader, "held") == [1, 2, 3, 4]
    assert [fact["target"] for fact in stage.of("fault", what="applied")] == [COMMITS]


async def test_only_commits_that_wrote_rows_count(doors) -> None:
    _, gateway, a, _ = doors
    async with await a.connect() as writer:
        await writer.execute("CREATE TABLE counted (n int)")
        fault = gateway.commit_fault(instance="a", nth=5).hold_response()
        for statement in (
            "SELECT count(*) FROM counted",
            "DELETE FROM counted",
            "BEGIN; INSERT INTO counted VALUES (1); COMMIT",  # 1
            "BEGIN; SELECT 1; COMMIT",
            "INSERT INTO counted SELECT n FROM counted",  # 2
        ):
            await writer.execute(statement)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await writer.execute("INSERT INTO counted VALUES (1); SELECT 1 / 0")
        async with writer.transaction():
            await writer.execute("UPDATE counted SET n = 2")  # 3
        with contextlib.suppress(psycopg.errors.DivisionByZero):
            async with writer.transaction():
                await writer.execute("INSERT INTO counted VALUES (1)")
                await writer.execute("SELECT 1 / 0")
        async with writer.pipeline():
            await writer.execute("INSERT INTO counted VALUES (7)")  # 4, with the next
            await writer.execute("INSERT INTO counted VALUES (8)")
        assert fault.matched == 4
        fault.cancel()


async def test_what_is_cut_off_is_committed(doors) -> None:
    _, gateway, a, b = doors
    async with await b.connect() as reader:
        writer = await a.connect()
        await writer.execute("CREATE TABLE cut (n int)")
        gateway.commit_fault(instance="a").cut_response()
        with pytest.raises(psycopg.OperationalError):
            await writer.execute("INSERT INTO cut VALUES (1)")
        assert await numbers_in(reader, "cut") == [1]


async def test_detach_loses_a_held_answer(doors) -> None:
    _, gateway, a, b = doors
    async with await b.connect() as reader:
        writer = await a.connect()
        await writer.execute("CREATE TABLE lost (n int)")
        fault = gateway.commit_fault(instance="a").hold_response()
        insert = asyncio.create_task(writer.execute("INSERT INTO lost VALUES (1)"))
        await asyncio.wait_for(fault.wait_applied(), 30)
        await gateway.detach("a")
        with pytest.raises(psycopg.OperationalError):
            await insert
        assert not fault.held
        assert await numbers_in(reader, "lost") == [1]


async def numbers_in(connection: psycopg.AsyncConnection, table: str) -> list[int]:
    rows = await (await connection.execute(f"SELECT n FROM {table} ORDER BY n")).fetchall()
    return [number for (number,) in rows]


async def test_what_would_be_saved_waits_until_it_is_released(doors) -> None:
    _, gateway, a, b = doors
    async with await a.connect() as writer, await a.connect() as second, await b.connect() as other:
        await other.execute("CREATE TABLE late (n int)")
        stall = gateway.hold_savings("a")
        async with asyncio.TaskGroup() as tasks:
            insert = tasks.create_task(writer.execute("INSERT INTO late VALUES (1)"))
            await second.execute("BEGIN")
            await second.execute("INSERT INTO late VALUES (2)")
            assert await numbers_in(second, "late") == [2]
            commit = tasks.create_task(second.execute("COMMIT"))
            async with await a.connect() as newcomer:
                assert await numbers_in(newcomer, "late") == []
            await other.execute("INSERT INTO late VALUES (3)")
            await until(lambda: stall.applied == 2)
            assert await numbers_in(other, "late") == [3]
            assert not insert.done() and not commit.done()
            stall.release()
        assert await numbers_in(writer, "late") == [1, 2, 3]


async def test_a_question_is_caught_between_its_statements(doors) -> None:
    _, gateway, a, b = doors
    async with await a.connect() as reader, await b.connect() as other:
        await other.execute("CREATE TABLE twice (n int)")
        await other.execute("INSERT INTO twice VALUES (1)")
        second = gateway.hold_reading("a", "twice", nth=2)
        assert await numbers_in(reader, "twice") == [1]
        again = asyncio.create_task(numbers_in(reader, "twice"))
        await asyncio.wait_for(second.wait_applied(), 30)
        await other.execute("INSERT INTO twice VALUES (2)")
        assert await numbers_in(other, "twice") == [1, 2]
        assert not again.done()
        second.release()
        assert await again == [1, 2]


async def test_what_is_kept_from_the_database_dies_with_the_instance(doors) -> None:
    _, gateway, a, b = doors
    async with await b.connect() as other:
        writer = await a.connect()
        await writer.execute("CREATE TABLE never (n int)")
        stall = gateway.hold_savings("a")
        insert = asyncio.create_task(writer.execute("INSERT INTO never VALUES (1)"))
        await asyncio.wait_for(stall.wait_applied(), 30)
        await gateway.detach("a")
        with pytest.raises(psycopg.OperationalError):
            await insert
        stall.release()
        assert await numbers_in(other, "never") == []
