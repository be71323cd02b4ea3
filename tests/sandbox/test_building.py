"""Building in a box: what comes out of it is a stranger's, too."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox import building
from sandbox.box import Limits
from sandbox.building import BuildRefused, build, unpack
from sandbox.runtimes import get_runtime


class Shell:
    """A runtime whose compiler is a line of shell."""

    language, title, entry_point = "shell", "Shell", "main.sh"
    mounts: Mapping[str, Path] = {}
    env: Mapping[str, str] = {}

    def __init__(self, script: str) -> None:
        self.script = script

    def build_command(self, source: Path) -> list[str]:
        return ["sh", "-c", self.script]


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def member(name: str, type: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = type, link, mode
    return info


async def refused(script: str, tmp_path: Path) -> list[str]:
    (tmp_path / "source").mkdir()
    with pytest.raises(BuildRefused) as refusal:
        await build(Shell(script), tmp_path / "source", tmp_path / "built", lambda *line: None)
    return refusal.value.said


@pytest.mark.services
async def test_a_program_without_a_compiler_runs_from_its_source(tmp_path):
    runtime = get_runtime("python")
    assert await build(runtime, tmp_path, tmp_path / "built", print) == tmp_path


@pytest.mark.services
async def test_what_the_compiler_made_is_unpacked_and_what_it_said_is_told(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "main.sh").write_text("echo hello")
    said: list[str] = []
    script = """
        mkdir /tmp/made; cp main.sh /tmp/made/; chmod 755 /tmp/made/main.sh
        echo a warning >&2
        tar -cC /tmp/made .
    """
    target = await build(
        Shell(script),
        tmp_path / "source",
        tmp_path / "built",
        lambda stream, line: said.append(line),
    )
    assert (target / "main.sh").read_text() == "echo hello"
    assert (target / "main.sh").stat().st_mode & 0o777 == 0o755
    assert said == ["Building with Shell", "a warning"]


@pytest.mark.services
async def test_errors_are_told_as_the_compiler_wrote_them(tmp_path):
    script = "printf 'Main.x:1: error\\n  int x\\n      ^\\n' >&2; exit 1"
    assert await refused(script, tmp_path) == ["Main.x:1: error", "  int x", "      ^"]


@pytest.mark.services
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "It ended with code 3."),
        ("kill -11 $$", "The compiler was ended by signal 11."),
        ("head -c 900m /dev/zero | tail", "more than its 64 MB of memory"),
        ("sleep 100", "not ready after 2 s"),
        ("yes", "larger than 96 MB"),
        ("echo no archive", "cannot be read"),
        ("true", "cannot be read"),
    ],
)
async def test_a_compiler_that_fails_otherwise_is_told(script, why, tmp_path, monkeypatch):
    small = Limits(memory_mb=64, output_bytes=10_000, wall_s=2.0)
    monkeypatch.setattr(building, "LIMITS", small)
    assert why in (await refused(script, tmp_path))[-1]


@pytest.mark.services
async def test_a_flood_of_errors_is_cut(tmp_path):
    said = await refused("seq 5000 >&2; exit 1", tmp_path)
    assert said == [str(n) for n in range(1, building.MOST_LINES + 1)]


def test_only_regular_files_are_taken(tmp_path):
    made = archive(
        (member("lib", tarfile.DIRTYPE), b""),
        (member("lib/a.class", mode=0o4755), b"a"),
        (member("shadow", tarfile.SYMTYPE, "/etc/shadow"), b""),
        (member("hard", tarfile.LNKTYPE, "/etc/shadow"), b""),
        (member("fifo", tarfile.FIFOTYPE), b""),
        (member("disk", tarfile.BLKTYPE), b""),
    )
    unpack(made, tmp_path / "built")
    assert [p.name for p in sorted((tmp_path / "built").rglob("*"))] == ["lib", "a.class"]
    assert (tmp_path / "built/lib/a.class").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("name", ["/etc/cron.d/x", "../outside", "a/../../b"])
def test_a_place_outside_is_refused(name, tmp_path):
    with pytest.raises(BuildRefused, match="outside its folder"):
        unpack(archive((member(name), b"x")), tmp_path / "built")
    assert not list(tmp_path.rglob("*/*"))


@pytest.mark.parametrize(
    "members",
    [
        [(member("same"), b"1"), (member("same"), b"2")],
        [(member("file"), b"1"), (member("file/inside"), b"2")],
    ],
)
def test_files_that_meet_are_refused(members, tmp_path):
    with pytest.raises(BuildRefused, match="cannot be read"):
        unpack(archive(*members), tmp_path / "built")


def test_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "MOST_FILES", 2)
    monkeypatch.setattr(building, "MOST_BYTES", 10)
    with pytest.raises(BuildRefused, match="3 files; at most 2"):
        unpack(archive(*((member(str(n)), b"") for n in range(3))), tmp_path / "files")
    with pytest.raises(BuildRefused, match="more than"):
        unpack(archive((member("a"), b"x" * 11)), tmp_path / "bytes")


def test_a_file_that_says_it_is_enormous_is_refused(tmp_path):
    """A sparse file is small in the archive and as large as it says outside."""
    info = tarfile.TarInfo("bomb")
    info.size = 1 << 50
    with pytest.raises(BuildRefused):
        unpack(info.tobuf(), tmp_path / "built")
