import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.home import home
from sandbox.process import (
    Identity,
    SandboxError,
    Scratch,
    exclusive,
    give_to_service,
    run,
    service_user,
    spawn,
    sweep,
)
from tests.sandbox.waiting import until

PATH = {"PATH": "/usr/bin:/bin"}

# Starts a child in a scratch folder of its own, tells its pid and the folder, and waits.
OWNER = """
import asyncio
from sandbox.process import Scratch, spawn
async def main():
    scratch = Scratch.create("test")
    child = await spawn(["sleep", "600"], env={"PATH": "/usr/bin:/bin"}, dies_by=LEASH)
    scratch.adopt(child.pid)
    print(child.pid, scratch.path, flush=True)
    await child.wait()
asyncio.run(main())
"""


def start_owner(leashed: bool) -> tuple[subprocess.Popen, Identity, Path]:
    code = OWNER.replace("LEASH", repr("KILL" if leashed else None))
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid, folder = owner.stdout.readline().split()
    return owner, Identity.of(int(pid)), Path(folder)


def kill(owner: subprocess.Popen) -> None:
    owner.kill()
    owner.wait()
    owner.stdout.close()


async def output_of(*command: str, env: dict[str, str]) -> str:
    child = await spawn(command, env=env, output=subprocess.PIPE)
    return (await child.communicate())[0].decode()


async def test_a_child_sees_only_the_environment_it_is_given():
    assert await output_of("env", env=PATH | {"A": "1"}) == "PATH=/usr/bin:/bin\nA=1\n"


@pytest.mark.root
async def test_a_child_of_root_runs_as_the_service_user_with_no_group_of_ours():
    if os.geteuid() != 0:
        pytest.skip("needs root")
    assert (await output_of("id", "-un", env=PATH)).strip() == service_user()
    assert (await output_of("id", "-Gn", env=PATH)).strip() == service_user()


async def test_a_child_dies_with_its_killed_parent():
    owner, child, _ = start_owner(leashed=True)
    assert child.alive
    kill(owner)
    await until(lambda: not child.alive)


async def test_a_sweep_kills_and_removes_what_a_dead_owner_left():
    owner, child, folder = start_owner(leashed=False)
    kill(owner)
    assert child.alive and folder.exists()
    assert folder.name in sweep(home())
    assert not child.alive and not folder.exists()


async def test_a_sweep_leaves_what_belongs_to_a_living_owner():
    owner, child, folder = start_owner(leashed=True)
    try:
        assert folder.name not in sweep(home())
        assert child.alive and folder.exists()
    finally:
        kill(owner)
        sweep(home())


def test_a_sweep_spares_a_process_that_got_the_number_of_an_old_child():
    scratch = Scratch.create("test")
    with subprocess.Popen(["sleep", "600"]) as stranger:
        lease = f"{Identity(1 << 22, 'gone/0')}\n{Identity(stranger.pid, 'gone/0')}\n"
        (scratch.path / "lease").write_text(lease)
        assert scratch.path.name in sweep(home())
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("lease", ["", "nonsense\n", "1 2 3\n"])
def test_a_sweep_leaves_a_folder_whose_lease_it_cannot_read(lease: str):
    scratch = Scratch.create("test")
    (scratch.path / "lease").write_text(lease)
    assert scratch.path.name not in sweep(home())
    scratch.remove()


def test_a_zombie_is_not_alive():
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not Identity.of(child.pid).alive
    child.wait()


def test_the_name_of_a_process_does_not_confuse_its_identity(tmp_path: Path):
    odd = tmp_path / "a) Z 1 (b"
    odd.symlink_to("/usr/bin/sleep")
    with subprocess.Popen([odd, "600"]) as child:
        assert Identity.parse(str(Identity.of(child.pid))).alive
        child.send_signal(signal.SIGKILL)
    assert not Identity.of(child.pid).alive


async def test_a_failed_command_is_an_error_with_its_words():
    with pytest.raises(SandboxError, match=r"cannot list it: .*No such file"):
        await run(["ls", "/nowhere"], "cannot list it")


async def test_only_one_at_a_time_is_in_an_exclusive_block(tmp_path: Path):
    inside, told = [], []

    async def enter(name: str) -> None:
        async with exclusive(tmp_path / "lock", lambda: told.append(name)):
            inside.append(name)
            await asyncio.sleep(0)
            assert inside == [name]
            inside.remove(name)

    await asyncio.gather(*(enter(name) for name in "abc"))
    assert len(told) == len(set(told)) == 2


@pytest.mark.root
def test_a_folder_given_to_the_service_is_closed_to_others(open_folder: Path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = give_to_service(open_folder / "data")
    assert folder.owner() == service_user()
    assert folder.stat().st_mode & 0o777 == 0o700
