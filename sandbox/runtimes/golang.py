"""Go for candidates: this machine's toolchain, copied, with the modules of go_modules/go.sum.

A program is one module named `program`; the libraries are vendored, for a box has no network. The
standard library and they are compiled once, at set-up, into a cache that boxes read and cannot
write, so that a build compiles the candidate's own files alone.
"""

import asyncio
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from sandbox import assets
from sandbox.home import home
from sandbox.runtimes.making import MADE, hand_out, newest, run_tool

INSIDE = "/opt/go"
MODULES = Path(__file__).with_name("go_modules")
MODULE_FILES = ("go.mod", "go.sum")
LIBRARIES = "libraries.go"
LEAST = (1, 26)  # as go.mod says, for pgx
UNNEEDED = ("testdata", "*_test.go")
# A box has one processor and 512 MB.
SMALL = ("GOMAXPROCS=1", "GOMEMLIMIT=400MiB")
SETTINGS = {
    "CGO_ENABLED": "0",
    "GOENV": "off",
    "GOFLAGS": "-mod=vendor -trimpath -buildvcs=false",
    "GOTOOLCHAIN": "local",
}
PROJECT = "/tmp/project"  # noqa: S108
LINK = "-ldflags='-s -w'"
# goindex: in the cache, the index of packages goes by where the toolchain lay at set-up.
BUILD = f"""
mkdir {MADE} && cp -r {{source}} {PROJECT} && cd {PROJECT} &&
ln -s {INSIDE}/modules/go.mod {INSIDE}/modules/go.sum {INSIDE}/modules/vendor . &&
GODEBUG=goindex=0 go build {LINK} -o {MADE}/program . >&2 &&
"""


class GoRuntime:
    language = "go"
    title = "Go"
    entry_point = "main.go"

    def folder(self) -> Path:
        goroot = find_go()
        version = (goroot / "VERSION").read_bytes() if goroot else b""
        files = [path.read_bytes() for path in sorted(MODULES.iterdir())]
        return home().cache / f"go-{assets.digest(version, Path(__file__).read_bytes(), *files)}"

    @property
    def mounts(self) -> Mapping[str, Path]:
        return {INSIDE: self.folder()}

    @property
    def env(self) -> Mapping[str, str]:
        places = {"PATH": f"{INSIDE}/go/bin:/usr/bin:/bin", "GOCACHE": f"{INSIDE}/cache"}
        return {**places, **SETTINGS}

    def missing(self) -> str:
        if find_go():
            return ""
        version = ".".join(map(str, LEAST))
        return (
            f"There is no Go {version} or newer here. Unpack one to /usr/local/go, or put its `go` "
            "on the PATH."
        )

    def build_command(self, source: Path) -> list[str]:
        script = BUILD.format(source=shlex.quote(str(source)))
        return ["/bin/sh", "-c", script + hand_out("*.go")]

    def command(self, source: Path) -> list[str]:
        return ["/usr/bin/env", *SMALL, str(source / "program")]

    def check(self, files: Mapping[str, str]) -> list[str]:
        ours = [path for path in files if _is_ours(PurePosixPath(path))]
        return [
            f"{path}: leave it out. The module is named `program`, and its requirements are given."
            for path in ours
        ]

    async def make(self, target: Path) -> None:
        await asyncio.to_thread(_copy_toolchain, target / "go")
        await asyncio.to_thread(_vendor, target)
        await asyncio.to_thread(_compile, target)


RUNTIME = GoRuntime()


def _is_ours(path: PurePosixPath) -> bool:
    return path.name in (*MODULE_FILES, "go.work") or path.parts[0] == "vendor"


def find_go() -> Path | None:
    """Return the GOROOT of the newest Go of this machine that is new enough; None without one."""
    return newest(_roots(), _version, LEAST)


def _roots() -> Iterator[Path]:
    if go := shutil.which("go"):
        yield Path(go).resolve().parent.parent
    yield Path("/usr/local/go")
    yield from Path("/usr/lib").glob("go-*")


def _version(root: Path) -> tuple[int, ...]:
    """Return the version of the Go at `root`, such as (1, 26, 8); (0,) when there is none."""
    if not os.access(root / "bin" / "go", os.X_OK):
        return (0,)
    try:
        told = re.match(r"go(\d+(?:\.\d+)+)", (root / "VERSION").read_text())
    except (OSError, UnicodeDecodeError):
        return (0,)
    return tuple(map(int, told[1].split("."))) if told else (0,)


def _copy_toolchain(target: Path) -> None:
    goroot = find_go()
    assert goroot is not None
    for part in ("bin", "pkg", "src", "lib"):
        shutil.copytree(goroot / part, target / part, ignore=shutil.ignore_patterns(*UNNEEDED))
    for file in ("VERSION", "go.env"):
        shutil.copy2(goroot / file, target)


def _vendor(target: Path) -> None:
    """Download the modules, checked against go.sum, and put their sources into one folder."""
    modules = target / "modules"
    shutil.copytree(MODULES, modules)
    downloads = {"GOMODCACHE": str(target / "downloads"), "GOFLAGS": "-modcacherw"}
    _go(target, ["mod", "vendor"], downloads, "Cannot get the modules for candidates' Go programs")
    shutil.rmtree(target / "downloads", ignore_errors=True)


def _compile(target: Path) -> None:
    command = ["build", *shlex.split(LINK), "-o", os.devnull, "."]
    _go(target, command, SETTINGS, "Cannot compile the libraries for candidates' Go programs")
    (target / "modules" / LIBRARIES).unlink()


def _go(target: Path, arguments: list[str], settings: Mapping[str, str], failure: str) -> None:
    """Run our copy of Go on our module, with its cache; SandboxError when it fails."""
    places = {"GOROOT": str(target / "go"), "GOCACHE": str(target / "cache")}
    env = {"GOTOOLCHAIN": "local", **places, **settings}
    run_tool([target / "go" / "bin" / "go", *arguments], failure, env, target / "modules")
