"""gVisor as the engine's runtime: the same contract, with a program that is no process of ours."""

import asyncio
import signal

import pytest

from sandbox.box import BoxError, Exit, Limits
from sandbox.box.preflight import preflight
from tests.drivers import GVISOR

pytestmark = pytest.mark.services

SMALL = Limits(memory_mb=96, pids=32, output_bytes=200_000, wall_s=60.0)
COUNT = """
import os, time
number = 0
while True:
    os.write(1, f"{(number := number + 1)}\\n".encode()); time.sleep(0.005)
"""
LEAVE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
while True: time.sleep(0.05)
"""
DOOR = """
import socket
door = socket.create_connection(("127.0.0.1", 9092))
door.sendall(b"ping"); print(door.recv(10).decode())
"""


@pytest.fixture
def driver(engine: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Docker with gVisor, wherever tests ask for a driver."""
    if not GVISOR:
        pytest.skip("no gVisor here: apt-get install runsc")
    monkeypatch.setenv("OFFSETZERO_DRIVER", "docker")
    monkeypatch.setenv("DOCKER_HOST", engine)
    monkeypatch.setenv("OFFSETZERO_DOCKER_RUNTIME", "runsc")
    return "docker"


async def test_its_kernel_is_not_ours_and_its_promises_hold(driver, own_state):
    claims = await preflight()
    assert [claim for claim in claims if not claim.holds] == []
    assert "kernel" in {claim.what for claim in claims}


async def test_a_door_is_open_from_the_first_instruction_on(start):
    run = await start(DOOR, door_ports=(9092,))
    loop, door = asyncio.get_running_loop(), run.box.doors[9092]
    door.setblocking(False)
    connection, _ = await loop.sock_accept(door)
    with connection:
        assert await loop.sock_recv(connection, 10) == b"ping"
        await loop.sock_sendall(connection, b"pong")
        assert await run.box.wait() == Exit(0, None, "exited")
    assert run.lines == ["pong"]


async def test_a_signal_reaches_the_program_and_its_exit_code_us(start):
    run = await start(LEAVE)
    await run.until("ready")
    run.box.signal(signal.SIGTERM)
    assert await run.box.wait() == Exit(7, None, "exited")


async def test_a_frozen_box_stands_still_and_goes_on(start):
    run = await start(COUNT)
    await run.printed(20)
    await run.box.freeze()
    before = run.box.cpu_seconds
    await asyncio.sleep(0.2)
    assert run.box.cpu_seconds == before
    printed = len(run.lines)
    await run.box.thaw()
    await run.printed(printed + 20)
    assert run.lines[: printed + 20] == [str(n) for n in range(1, printed + 21)]


async def test_nothing_of_a_killed_box_is_left(start, own_state):
    run = await start(COUNT)
    await run.printed(20)
    processes = list(run.box._launched.holder.processes())
    assert await run.box.kill() == Exit(None, 9, "killed")
    assert processes and not list(run.box._launched.holder.processes())
    assert not list((own_state / "scratch").iterdir())


@pytest.mark.parametrize(
    ("program", "limit"),
    [
        ("resources fork_bomb", "pids"),
        ("resources memory_bomb", "memory"),
        ("resources memory_bomb_in_a_child", "memory"),
        ("resources flood_without_newline", "output"),
    ],
)
async def test_over_a_limit(start_hostile, program, limit):
    run = await start_hostile(program, limits=SMALL)
    assert (await run.box.wait()).reason == limit


async def test_a_runtime_that_hides_our_doors_is_refused(driver, start, monkeypatch):
    monkeypatch.setenv("OFFSETZERO_DOCKER_RUNTIME", "runsc-apart")
    with pytest.raises(BoxError, match=r"without --network=host.*daemon\.json"):
        await start(COUNT)


async def test_a_runtime_that_is_none_is_told_with_those_there_are(driver, start, monkeypatch):
    monkeypatch.setenv("OFFSETZERO_DOCKER_RUNTIME", "kata")
    with pytest.raises(BoxError, match=r"'kata', and the Docker engine has: .*runc"):
        await start(COUNT)
