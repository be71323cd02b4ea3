"""The life of a box: start, doors, signals, freeze, the ways to end."""

import asyncio
import json
import platform
import signal
import time
from pathlib import Path

import pytest

from sandbox.box import Exit, Limits, assurance
from sandbox.box.files import UID
from sandbox.box.room import UIDS

pytestmark = pytest.mark.services

SLEEP = ["sleep", "1000"]


def kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])


async def test_reports_output_and_exit_code(start):
    run = await start(command=["sh", "-c", "echo one; echo two >&2; exit 3"])
    assert await run.box.wait() == Exit(3, None, "exited")
    assert sorted(run.lines) == ["one", "two"]
    assert not run.box.alive


async def test_sees_its_environment_and_nothing_else(start):
    run = await start(command=["env"], env={"INSTANCE_ID": "app-1"})
    await run.box.wait()
    assert sorted(run.lines) == [
        "HOME=/tmp",
        "INSTANCE_ID=app-1",
        "LANG=C.UTF-8",
        "PATH=/usr/bin:/bin",
        "PWD=/app",
    ]


async def test_runs_the_source_read_only_as_an_unprivileged_user(start, driver):
    run = await start(
        "import os, pwd\n"
        "print(os.getuid(), os.getcwd(), os.access('main.py', os.W_OK))\n"
        "print(pwd.getpwuid(os.getuid()).pw_name, 0 in os.getgroups())"
    )
    await run.box.wait()
    uid, rest = run.lines[0].split(" ", 1)
    assert rest == "/app False"
    assert int(uid) in {"process": [UID], "docker": UIDS}[driver]
    assert run.lines[1] == "app False"


@pytest.mark.parametrize("code", [0, 1, 137, 143, 255])
async def test_tells_an_exit_code_from_a_signal(start, code):
    if code in (137, 143) and kernel() < (6, 15):
        pytest.skip("the kernel tells no exact exit status before 6.15")
    run = await start(f"import sys; sys.exit({code})")
    assert await run.box.wait() == Exit(code, None, "exited")


async def test_reports_the_signal_a_program_died_of(start):
    run = await start("import os; os.kill(os.getpid(), 9)")
    assert await run.box.wait() == Exit(None, 9, "exited")


async def test_signal_reaches_the_program_itself(start):
    run = await start(
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('ready')\n"
        "signal.pause()"
    )
    await run.until("ready")
    run.box.signal(signal.SIGTERM)
    assert await run.box.wait() == Exit(7, None, "exited")


async def test_kill_is_told_from_an_own_end(start):
    run = await start(command=SLEEP)
    assert await run.box.kill() == Exit(None, 9, "killed")
    assert await run.box.kill() == Exit(None, 9, "killed")


async def test_doors_are_open_before_the_first_instruction(start):
    run = await start(
        "import socket\n"
        "s = socket.create_connection(('127.0.0.1', 9092))\n"
        "s.sendall(b'hello'); print(s.recv(5).decode())",
        door_ports=[9092, 5432],
    )
    loop = asyncio.get_running_loop()
    client, _ = await loop.sock_accept(run.box.doors[9092])
    with client:
        assert await loop.sock_recv(client, 5) == b"hello"
        await loop.sock_sendall(client, b"world")
    await run.box.wait()
    assert run.lines == ["world"]


SERVER = """
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"from inside")
server = http.server.HTTPServer(("127.0.0.1", 8080), Answer)
print("listening")
server.serve_forever()
"""


async def test_connect_reaches_a_port_of_the_program(start):
    run = await start(SERVER)
    await run.until("listening")
    reader, writer = await asyncio.open_connection(sock=await run.box.connect(8080))
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert (await reader.read()).endswith(b"from inside")
    writer.close()


async def test_connect_to_a_closed_port_is_refused(start):
    run = await start(command=SLEEP)
    with pytest.raises(ConnectionRefusedError):
        await run.box.connect(8080)


# Each line is the time at which it was about to be written, in one piece.
COUNTERS = """
import os, threading, time
for _ in range(3):
    if os.fork() == 0:
        break
def count():
    while True:
        os.write(1, f"{time.monotonic()}\\n".encode()); time.sleep(0.005)
for _ in range(4):
    threading.Thread(target=count).start()
"""


async def test_freeze_stops_every_process_and_thaw_lets_them_go_on(start):
    run = await start(COUNTERS)
    await run.printed(50)
    await run.box.freeze()
    frozen = time.monotonic()
    await asyncio.sleep(0.2)
    thawed = time.monotonic()
    await run.box.thaw()
    while float(run.lines[-1]) < thawed:
        await run.printed(len(run.lines) + 1)
    assert not [line for line in run.lines if frozen < float(line) < thawed]


async def test_kill_of_a_frozen_box_lets_nothing_run_once_more(start):
    run = await start(COUNTERS)
    await run.printed(50)
    await run.box.freeze()
    frozen = time.monotonic()
    assert await run.box.kill() == Exit(None, 9, "killed")
    assert max(map(float, run.lines)) < frozen


async def test_signal_to_a_frozen_program_arrives_when_it_thaws(start):
    run = await start(command=SLEEP)
    await run.box.freeze()
    run.box.signal(signal.SIGTERM)
    await run.box.thaw()
    assert await run.box.wait() == Exit(None, 15, "exited")


async def test_cpu_time_is_counted_also_after_the_end(start):
    run = await start("import time\nwhile time.process_time() < 0.5: pass")
    await run.box.wait()
    assert 0.3 <= run.box.cpu_seconds < 3  # without cgroups, of the last look


CROWD = """
import os
for _ in range(3):
    os.fork()
print("busy", flush=True)
while True:
    pass
"""


async def test_who_waits_for_a_cpu_is_starved_and_who_sleeps_is_not(start):
    crowd, asleep = await start(CROWD), await start(command=SLEEP)
    await crowd.printed(8)
    began = [run.box.starved_seconds for run in (crowd, asleep)]
    while crowd.box.starved_seconds < began[0] + 0.5:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert asleep.box.starved_seconds < began[1] + 0.25
    await crowd.box.kill()
    assert crowd.box.starved_seconds == 0


@pytest.mark.parametrize("delay", [0, 0.002, 0.005, 0.01, 0.015])
async def test_cancelled_start_leaves_no_box(start, own_state: Path, delay):
    starting = asyncio.create_task(start(command=SLEEP))
    await asyncio.sleep(delay)
    if starting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await starting
    else:
        await starting.result().box.kill()
    assert not list((own_state / "scratch").iterdir())


async def test_end_from_outside_is_lost(start, driver):
    run = await start(command=SLEEP)
    holder = run.box._launched.holder
    outside = holder.init if driver == "docker" else holder.monitor
    signal.pidfd_send_signal(outside, signal.SIGKILL)
    assert (await run.box.wait()).reason == "lost"


async def test_assurance_is_plain_data():
    assert json.loads(json.dumps(vars(assurance())))["limits"]


async def test_over_the_wall_clock(start):
    run = await start(command=SLEEP, limits=Limits(wall_s=0.3))
    assert await run.box.wait() == Exit(None, 9, "wall-clock")
