"""What a box refuses to start with, and what it says."""

import os
from pathlib import Path

import pytest

from sandbox.box import Box, BoxError, Exit
from sandbox.box.process.toolbox import toolbox

pytestmark = pytest.mark.services


async def test_symbolic_link_in_the_source_is_refused(start, tmp_path, own_state):
    (tmp_path / "program-1").mkdir()
    (tmp_path / "program-1" / "main.py").symlink_to("/etc/shadow")
    with pytest.raises(BoxError, match=r"main\.py is not a plain file or folder"):
        await Box.start("app", command=["true"], source=tmp_path / "program-1", on_output=print)
    assert not list((own_state / "scratch").iterdir())


async def test_fifo_in_the_source_is_refused(tmp_path, driver):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BoxError, match="pipe is not a plain file"):
        await Box.start("app", command=["true"], source=tmp_path, on_output=print)


async def test_mount_that_is_not_there_is_told_in_the_drivers_words(tmp_path, own_state, driver):
    with pytest.raises(BoxError, match="/nowhere"):
        await Box.start(
            "app",
            command=["true"],
            source=tmp_path,
            mounts={"/opt/runtime": Path("/nowhere")},
            on_output=print,
        )
    assert not list((own_state / "scratch").iterdir())


async def test_source_of_any_mode_is_readable_inside(start, tmp_path):
    folder = tmp_path / "closed"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "data").write_text("secret to others")
    (folder / "package" / "data").chmod(0o600)
    (folder / "package").chmod(0o700)
    folder.chmod(0o700)
    run = await start(command=["cat", "package/data"], source=folder)
    await run.box.wait()
    assert run.lines == ["secret to others"]


async def test_failure_of_on_output_ends_the_box(start):
    def fail(stream: str, line: str) -> None:
        raise ValueError("no room for this line")

    run = await start(command=["sh", "-c", "echo line; exec sleep 1000"], on_output=fail)
    with pytest.raises(ExceptionGroup, match="unhandled errors") as caught:
        await run.box.wait()
    assert caught.group_contains(ValueError)
    assert not run.box.alive
    run.box = await finished(start)


async def finished(start) -> Box:
    box = (await start(command=["true"])).box
    await box.wait()
    return box


def test_toolbox_is_open_to_every_user():
    for path in (toolbox().bubblewrap, *toolbox().etc.iterdir()):
        assert path.stat().st_mode & 0o004
    assert toolbox().bubblewrap.stat().st_mode & 0o001


PACKAGED = Path("/usr/bin/bwrap")


def program_of(pidfd: int) -> Path:
    pid = Path(f"/proc/self/fdinfo/{pidfd}").read_text().rpartition("Pid:")[2].split()[0]
    return Path(f"/proc/{pid}/exe").readlink()


@pytest.mark.skipif(not PACKAGED.exists(), reason="needs the system's: apt-get install bubblewrap")
@pytest.mark.parametrize("driver", ["process"], indirect=True)
async def test_the_systems_bubblewrap_makes_boxes_as_ours_does(start, monkeypatch):
    monkeypatch.setenv("OFFSETZERO_BWRAP", str(PACKAGED))
    run = await start(command=["sh", "-c", "echo here; sleep 60"])
    await run.until("here")
    assert program_of(run.box._launched.holder.monitor) == PACKAGED
    assert await run.box.kill() == Exit(None, 9, "killed")
