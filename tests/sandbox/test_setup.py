import asyncio
import dataclasses
import os
import stat
import tempfile
from pathlib import Path

import pytest
from jgo.maven import MavenContext

from sandbox import assets, setup
from sandbox.assets import Jar
from sandbox.home import home
from sandbox.process import SandboxError
from sandbox.setup import prepare

JAR = Jar("org.example", "thing", "1.0", sha256="0" * 64)


def maven(tmp_path: Path, content: bytes | None) -> MavenContext:
    """A resolver without a network whose local repository holds `content` as the jar."""
    if content is not None:
        folder = tmp_path / "org/example/thing/1.0"
        folder.mkdir(parents=True)
        (folder / "thing-1.0.jar").write_bytes(content)
    return MavenContext(repo_cache=tmp_path, offline=True)


def test_the_lock_names_every_jar_once_with_a_full_checksum():
    jars = assets.locked_jars()
    assert len({(jar.group, jar.name) for jar in jars}) == len(jars) > 40
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)


def test_a_jar_that_differs_from_the_lock_is_refused(tmp_path: Path):
    with pytest.raises(SandboxError, match=r"org\.example:thing:1\.0 has SHA-256 .* expects 0000"):
        assets.fetch_jar(maven(tmp_path, b"changed"), JAR)


def test_a_jar_as_locked_is_taken(tmp_path: Path):
    checksum = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"
    jar = dataclasses.replace(JAR, sha256=checksum)
    assert assets.fetch_jar(maven(tmp_path, b"0"), jar).read_bytes() == b"0"


def test_a_jar_that_cannot_be_had_names_it_and_the_network(tmp_path: Path):
    with pytest.raises(SandboxError, match=r"Cannot download org\.example:thing:1\.0.*Maven"):
        assets.fetch_jar(maven(tmp_path, None), JAR)


@pytest.mark.services
async def test_a_second_set_up_has_nothing_to_do():
    told: list[str] = []
    await prepare(told.append)
    await prepare(lambda line: pytest.fail(line))


@pytest.mark.services
def test_every_asset_can_be_read_by_all():
    for jar in assets.jars().iterdir():
        assert jar.stat().st_mode & stat.S_IROTH
    assert (assets.java_runtime() / "bin/java").stat().st_mode & stat.S_IXOTH


@pytest.fixture
def one_asset(monkeypatch, open_folder: Path):
    """A set-up of one asset, in a home of its own; returns the list of its builds."""
    monkeypatch.setenv("OFFSETZERO_HOME", str(open_folder))
    builds: list[Path] = []

    async def make(draft: Path) -> None:
        builds.append(draft)
        (draft / "file").write_text("made")
        (draft / "file").chmod(0o600)
        await asyncio.sleep(0)

    target = home().cache / "thing-1"
    monkeypatch.setattr(setup, "_assets", lambda: [(target, "Making the thing", make)])
    return builds


async def test_set_ups_at_the_same_time_build_once(one_asset: list[Path]):
    await asyncio.gather(*(prepare(lambda line: None) for _ in range(3)))
    assert len(one_asset) == 1


async def test_progress_names_the_step(one_asset: list[Path]):
    told: list[str] = []
    await prepare(told.append)
    assert told[0] == "Making the thing"


def garbage(folder: Path) -> None:
    folder.mkdir()
    (folder / "garbage").touch()


async def test_a_build_that_was_killed_is_begun_again(one_asset: list[Path]):
    garbage(home().cache / ".thing-1")
    await prepare(lambda line: None)
    assert not (home().cache / "thing-1" / "garbage").exists()
    assert not (home().cache / ".thing-1").exists()


async def test_an_asset_is_readable_for_others_whatever_it_was_made_with(one_asset: list[Path]):
    await prepare(lambda line: None)
    assert (home().cache / "thing-1" / "file").stat().st_mode & 0o777 == 0o644


async def test_a_failed_build_leaves_no_asset(one_asset: list[Path], monkeypatch):
    async def fail(draft: Path) -> None:
        raise OSError(28, "No space left on device")

    target = home().cache / "thing-1"
    monkeypatch.setattr(setup, "_assets", lambda: [(target, "Making the thing", fail)])
    with pytest.raises(SandboxError, match=r"Making the thing failed: .*No space left"):
        await prepare(lambda line: None)
    assert not list(home().cache.glob("*thing-1"))


@pytest.mark.root
async def test_a_home_that_services_cannot_enter_is_refused(monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory() as closed:  # of mode 0700
        monkeypatch.setenv("OFFSETZERO_HOME", f"{closed}/home")
        with pytest.raises(SandboxError, match=f"may not enter {closed}"):
            await prepare(lambda line: None)
